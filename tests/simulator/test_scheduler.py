from dataclasses import replace

import pytest

from epp.simulator import EngineSettings, RequestId, SimRequest
from epp.simulator.scheduler import Schedule, Scheduler
from epp.simulator.sequences import Counters, LiveSequence

SMALL = EngineSettings(block_size=4, num_gpu_blocks=11, max_num_seqs=3, max_num_batched_tokens=12, max_model_len=40)


class Desk:
    """A scheduler whose steps are computed at once."""

    def __init__(self, settings: EngineSettings = SMALL) -> None:
        self.counters = Counters()
        self.scheduler = Scheduler(settings, self.counters)
        self.arrived = 0

    def arrive(self, *prompts: int) -> list[LiveSequence]:
        new = []
        for prompt in prompts:
            new.append(LiveSequence(SimRequest(RequestId(self.arrived), prompt, 40 - prompt), self.arrived, 0.0))
            self.scheduler.waiting.push(new[-1])
            self.arrived += 1
        return new

    def step(self) -> dict[int, int]:
        """Tokens of the next step by request, in the order in which they were scheduled."""
        schedule = self.scheduler.schedule()
        for sequence, tokens in schedule.chunks:
            sequence.computed += tokens
            if sequence.computed == sequence.known:
                sequence.prefilling = False
                sequence.known += 1
        return chunks_of(schedule)


def chunks_of(schedule: Schedule) -> dict[int, int]:
    return {sequence.request.id: tokens for sequence, tokens in schedule.chunks}


def test_a_prefill_takes_what_the_decodes_leave_of_the_budget() -> None:
    desk = Desk()
    desk.arrive(3, 20, 2)
    assert desk.step() == {0: 3, 1: 9}
    assert desk.step() == {0: 1, 1: 11}
    assert desk.step() == {0: 1, 1: 1, 2: 2}
    assert desk.step() == {0: 1, 1: 1, 2: 1}


def test_a_step_holds_no_more_than_max_num_seqs() -> None:
    desk = Desk()
    desk.arrive(1, 1, 1, 1)
    assert desk.step() == {0: 1, 1: 1, 2: 1}
    assert len(desk.scheduler.waiting) == 1


def test_one_that_was_preempted_goes_first_when_it_fits_again() -> None:
    desk = Desk()
    first, second = desk.arrive(20, 20)
    assert [desk.step() for _ in range(3)] == [{0: 12}, {0: 8, 1: 4}, {0: 1, 1: 11}]
    desk.arrive(1)
    assert [desk.step() for _ in range(2)] == [{0: 1}, {0: 1}]  # the second found no block, the third waits behind it
    assert (desk.counters.preemptions, second.running, second.computed, second.held.blocks) == (1, False, 0, 0)
    desk.scheduler.drop(first)
    assert [desk.step() for _ in range(2)] == [{1: 12}, {1: 8, 2: 1}]


def test_evacuation_puts_the_batch_back_in_order_and_forgets_the_cache() -> None:
    desk = Desk()
    desk.arrive(3, 3, 3)
    desk.step()
    desk.scheduler.evacuate()
    assert desk.scheduler.running == []
    assert (desk.scheduler.pool.used, desk.scheduler.pool.cached) == (0, 0)
    assert list(desk.step()) == [0, 1, 2]


BAD_SETTINGS = {
    "no blocks": ({"block_size": 0}, "block_size is 0"),
    "a context that does not fit": ({"max_model_len": 401}, "lower max_model_len or raise num_gpu_blocks"),
    "a step too small for the batch": ({"max_num_batched_tokens": 2}, "less than max_num_seqs"),
    "negative slots": ({"max_loras": -1}, "must not be negative"),
    "a queue for nobody": ({"max_queued_requests": 0}, "max_queued_requests is 0"),
}


@pytest.mark.parametrize(("changes", "message"), BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_settings_that_cannot_work_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)
