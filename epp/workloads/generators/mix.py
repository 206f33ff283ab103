"""What a shared pool sees: conversations, agents and single calls of tenants at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from numpy.random import Generator

from epp.workloads.errors import WorkloadError
from epp.workloads.generators.agents import Agents
from epp.workloads.generators.chat import Chat
from epp.workloads.generators.drafts import expected_cycle_s
from epp.workloads.generators.parameters import Parameters
from epp.workloads.generators.single_calls import Tenants
from epp.workloads.timeline import TimedCall, workload_of
from epp.workloads.types import Call, Workload

__all__ = ["Mix"]


@dataclass(frozen=True, slots=True)
class Mix(Parameters):
    """Chats, agents and tenants' single calls side by side, each as its own generator makes them by default."""

    chat_share: float = 0.4
    """Of all calls, in conversations."""
    agents_share: float = 0.3
    """Of all calls, by agents; the rest are single calls."""

    def generate(self, rng: Generator) -> Workload:
        """See the class. Raises WorkloadError when the shares are more than the whole."""
        rest = 1.0 - self.chat_share - self.agents_share
        if rest < 0:
            raise WorkloadError(f"chat_share and agents_share are {1 - rest:g} together; they must be at most 1")
        shares: Sequence[tuple[type[Parameters], float]] = (
            (Chat, self.chat_share),
            (Agents, self.agents_share),
            (Tenants, rest),
        )
        timed: list[TimedCall] = []
        sessions = 0
        for kind, share in shares:
            if calls := round(self.calls * share):
                part = kind(calls=calls, rate_per_s=self.rate_per_s * share).generate(rng)
                timed += _timed(part.calls, len(timed), sessions)
                sessions += 1 + max((call.session for call in part.calls if call.session is not None), default=-1)
        return workload_of("mix", timed)


def _timed(calls: Sequence[Call], place: int, sessions: int) -> list[TimedCall]:
    """Calls with the times at which they are expected; their places begin at `place`, their sessions at `sessions`."""
    expected: list[float] = []
    timed: list[TimedCall] = []
    for call in calls:
        named = call if call.session is None else replace(call, session=call.session + sessions)
        if call.after is None:
            expected.append(call.at_s)
            timed.append(TimedCall(call.at_s, named))
        else:
            before = calls[call.after]
            expected.append(expected[call.after] + expected_cycle_s(call.at_s, before.output_tokens))
            timed.append(TimedCall(expected[-1], named, place + call.after, call.at_s))
    return timed
