"""Conversations: people who talk with an assistant, turn by turn."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

from epp.workloads.generators.drafts import Drafts, expected_cycle_s, sessions
from epp.workloads.generators.draws import Draws
from epp.workloads.generators.parameters import Parameters
from epp.workloads.types import Call, Role, Segment, Workload

__all__ = ["Chat"]


@dataclass(frozen=True, slots=True)
class Chat(Parameters):
    """Sessions of several turns. Each prompt has all that was said before, answers included, after a system prompt."""

    tenants: int = 20
    """Number of system prompts."""
    popularity: float = 1.0
    """Exponent of Zipf's law by which sessions choose theirs; 0: all alike."""
    system_tokens: float = 1500.0
    system_spread: float = 0.3
    """Standard deviation of the logarithm of these lengths."""
    turns: float = 6.0
    """Mean number of calls in a session; geometric."""
    think_s: float = 10.0
    """From an answer's end to the next question."""
    first_tokens: float = 400.0
    """Of the first question."""
    prompt_tokens: float = 100.0
    """Of each later one."""
    output_tokens: float = 250.0
    spread: float = 0.8
    """Standard deviation of the logarithm of the other lengths, and of times."""

    def generate(self, rng: Generator) -> Workload:
        """See the class."""
        draws = Draws(rng)
        systems = draws.segments(self.tenants, self.system_tokens, self.system_spread, Role.SYSTEM)

        def draw(drafts: Drafts, at_s: float, *, under_way: bool) -> None:
            # A geometric number of turns has no memory: what is under way has as many to come as a new one.
            del under_way
            (tenant,) = draws.popular(1, self.tenants, self.popularity).tolist()
            self._session(draws, drafts, at_s, systems[tenant])

        cycle_s = expected_cycle_s(self.think_s, self.output_tokens)
        return sessions("chat", self, rng, max(1.0, self.turns), cycle_s, draw)

    def _session(self, draws: Draws, drafts: Drafts, at_s: float, system: Segment) -> None:
        turns = int(draws.rng.geometric(min(1.0, 1 / self.turns)))
        session = drafts.new_session()
        questions = draws.segments(turns - 1, self.prompt_tokens, self.spread)
        answers = draws.segments(turns, self.output_tokens, self.spread, Role.ASSISTANT)
        pauses = draws.durations(turns - 1, self.think_s, self.spread).tolist()
        (question,) = draws.segments(1, self.first_tokens, self.spread)
        history: tuple[Segment, ...] = (system, question)
        place = drafts.first(Call(0.0, history, answers[0], session=session), at_s)
        for question, before, answer, pause in zip(questions, answers, answers[1:], pauses, strict=False):
            history = (*history, before, question)
            place = drafts.next(Call(0.0, history, answer, session=session), place, pause)
