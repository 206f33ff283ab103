"""Agents: programs that call a model over and over, with tools in between, until a task is done."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from epp.workloads.errors import WorkloadError
from epp.workloads.generators.drafts import Drafts, expected_cycle_s, sessions
from epp.workloads.generators.draws import Draws
from epp.workloads.generators.parameters import Parameters
from epp.workloads.types import Call, Role, Segment, Workload

__all__ = ["Agents"]


@dataclass(frozen=True, slots=True)
class Agents(Parameters):
    """Sessions of many calls, each with the whole context so far: a long system prompt with tools, the task, and for
    each step what the model said and what its tool gave. Some steps hand a task to a sub-agent, and wait for it.
    """

    rate_per_s: float = 3.0
    """Mean calls per second of agents, those of sub-agents not counted, once sessions follow one another."""
    kinds: int = 3
    """Number of system prompts, all as popular; a sub-agent has that of its agent."""
    system_tokens: float = 6000.0
    """Of a system prompt, tools included."""
    system_spread: float = 0.3
    """Standard deviation of the logarithm of these lengths."""
    task_tokens: float = 1000.0
    least_steps: int = 10
    """Calls of a session; any number up to `most_steps` is as likely."""
    most_steps: int = 50
    output_tokens: float = 120.0
    tool_tokens: float = 400.0
    """Of what a tool gives."""
    tool_s: float = 2.0
    """How long a tool takes."""
    subagent_share: float = 0.0
    """Of an agent's steps that call a sub-agent in place of a tool."""
    subagent_steps: float = 8.0
    """Mean number of calls of a sub-agent; geometric."""
    spread: float = 0.9
    """Standard deviation of the logarithm of the other lengths, and of times."""

    def generate(self, rng: Generator) -> Workload:
        """See the class. Raises WorkloadError when `least_steps` is more than `most_steps`."""
        if self.least_steps > self.most_steps:
            raise WorkloadError(f"least_steps is {self.least_steps}, more than most_steps ({self.most_steps})")
        draws = Draws(rng)
        systems = draws.segments(self.kinds, self.system_tokens, self.system_spread, Role.SYSTEM)

        def draw(drafts: Drafts, at_s: float, *, under_way: bool) -> None:
            steps = self._steps_left(rng) if under_way else self._steps(rng)
            _Session(self, draws, drafts, systems[int(rng.integers(self.kinds))]).run(steps, at_s)

        cycle_s = expected_cycle_s(self.tool_s, self.output_tokens)
        return sessions("agents", self, rng, (self.least_steps + self.most_steps) / 2, cycle_s, draw)

    def _steps(self, rng: Generator) -> int:
        return int(rng.integers(self.least_steps, self.most_steps, endpoint=True))

    def _steps_left(self, rng: Generator) -> int:
        """Of a session that is met under way: long ones are met more often, anywhere in their course."""
        steps = np.arange(self.least_steps, self.most_steps + 1)
        return int(rng.integers(1, rng.choice(steps, p=steps / steps.sum()), endpoint=True))


class _Session:
    """One agent at its task, or a sub-agent at a part of it."""

    def __init__(self, params: Agents, draws: Draws, drafts: Drafts, system: Segment) -> None:
        self._params, self._draws, self._drafts, self._system = params, draws, drafts, system
        self._number = drafts.new_session()
        (task,) = draws.segments(1, params.task_tokens, params.spread)
        self._context: tuple[Segment, ...] = (system, task)

    def run(self, steps: int, at_s: float) -> None:
        """An agent that starts at a time."""
        params, draws = self._params, self._draws
        place = self._drafts.first(self._call(), at_s)
        for delegates in (draws.rng.random(steps - 1) < params.subagent_share).tolist():
            place = self._delegated(place) if delegates else self._tool_step(place)

    def _call(self) -> Call:
        (said,) = self._draws.segments(1, self._params.output_tokens, self._params.spread, Role.ASSISTANT)
        call = Call(0.0, self._context, said, session=self._number)
        self._context = (*self._context, said)
        return call

    def _tool_step(self, place: int) -> int:
        """A tool runs, and the agent goes on with what it gave."""
        params, draws = self._params, self._draws
        self._context += tuple(draws.segments(1, params.tool_tokens, params.spread, Role.TOOL))
        (pause,) = draws.durations(1, params.tool_s, params.spread).tolist()
        return self._drafts.next(self._call(), place, pause)

    def _delegated(self, place: int) -> int:
        """A sub-agent starts at once; the agent goes on with its last answer."""
        steps = int(self._draws.rng.geometric(min(1.0, 1 / self._params.subagent_steps)))
        sub = _Session(self._params, self._draws, self._drafts, self._system)
        place = self._drafts.next(sub._call(), place, 0.0)
        for _ in range(steps - 1):
            place = sub._tool_step(place)
        self._context += (replace(sub._context[-1], role=Role.TOOL),)
        return self._drafts.next(self._call(), place, 0.0)
