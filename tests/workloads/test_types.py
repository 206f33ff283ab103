import pytest

from epp.workloads import Api, Call, Segment, Workload

PROMPT, OUTPUT = (Segment(1, 10), Segment(2, 5)), Segment(3, 7)


def workload() -> Workload:
    return Workload(
        "w", (Call(0.0, PROMPT, OUTPUT), Call(3.0, PROMPT, OUTPUT, after=0), Call(8.0, PROMPT, OUTPUT, adapter="a"))
    )


def test_a_higher_rate_moves_arrivals_and_not_pauses() -> None:
    assert [call.at_s for call in workload().at_rate(2).calls] == [0.0, 3.0, 4.0]
    with pytest.raises(ValueError, match="more than 0"):
        workload().at_rate(0)


def test_its_duration_is_the_last_arrival_that_is_known() -> None:
    assert (workload().duration_s, workload().first(2).duration_s) == (8.0, 0.0)
    assert workload().adapters == ("a",)
    assert repr(workload()) == "<Workload w: 3 calls in 8 s>"


def test_lengths() -> None:
    assert (Call(0.0, PROMPT, OUTPUT).prompt_tokens, Call(0.0, PROMPT, OUTPUT).output_tokens) == (15, 7)
    assert Call(0.0, PROMPT, OUTPUT, api=Api.EMBEDDINGS).output_tokens == 0


@pytest.mark.parametrize(
    "call",
    [
        Call(0.0, PROMPT, OUTPUT, after=0),
        Call(0.0, PROMPT, OUTPUT, after=1),
        Call(0.0, PROMPT, OUTPUT, after=-1),
        Call(0.0, (), OUTPUT),
        Call(-1.0, PROMPT, OUTPUT),
    ],
    ids=["waits for itself", "waits for a later one", "waits for none", "no prompt", "before the begin"],
)
def test_calls_that_cannot_be_are_refused(call: Call) -> None:
    with pytest.raises(ValueError, match="call 0"):
        Workload("w", (call,))
