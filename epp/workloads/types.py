"""What a workload is: calls to models, each with its time, its prompt as segments, and the length of its answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

__all__ = ["DEFAULT_BYTES_PER_TOKEN", "Api", "Call", "Role", "Segment", "Workload"]

DEFAULT_BYTES_PER_TOKEN = 4.0
"""English text with common tokenizers."""


class Role(Enum):
    """Who says a segment; the values are those of chat messages."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Api(Enum):
    """What a call asks for."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text, known by what it is and how long it is. Prompts that begin with the same segments share them."""

    id: int
    """Names the content, 0 to 2**63 - 1: segments with one id are equal, in length too."""
    tokens: int
    """At least 1."""
    role: Role = Role.USER


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    at_s: float
    """Seconds from the workload's begin to its arrival; with `after`, from the end of that call (thinking, a tool)."""
    prompt: tuple[Segment, ...]
    output: Segment
    """What will be answered. A later prompt of the session can contain it. Embeddings have none, whatever stands."""
    after: int | None = None
    """Index of the call that must have ended first: sessions go on only when their last answer is there."""
    session: int | None = None
    """Names the conversation or agent; None: the call stands alone."""
    model: str = ""
    """Empty: the base model of the pool."""
    adapter: str = ""
    """LoRA adapter; empty: none."""
    api: Api = Api.CHAT
    stream: bool = True

    @property
    def prompt_tokens(self) -> int:
        """Length of the prompt."""
        return sum(segment.tokens for segment in self.prompt)

    @property
    def output_tokens(self) -> int:
        """Length of the answer; 0 for embeddings."""
        return 0 if self.api is Api.EMBEDDINGS else self.output.tokens


@dataclass(frozen=True, slots=True)
class Workload:
    """Calls in the order of their arrival, those of `after` placed where their session's order puts them.

    Raises ValueError for a call that waits for itself or for a later one.
    """

    name: str
    calls: tuple[Call, ...]
    bytes_per_token: float = DEFAULT_BYTES_PER_TOKEN
    """Of its text."""

    def __post_init__(self) -> None:
        for index, call in enumerate(self.calls):
            if call.after is not None and not 0 <= call.after < index:
                raise ValueError(f"call {index} waits for call {call.after}; it can only wait for an earlier one")
            if not call.prompt or call.at_s < 0:
                raise ValueError(f"call {index} has no prompt, or a time before the begin ({call.at_s} s)")

    @property
    def duration_s(self) -> float:
        """Time of the last arrival that is known beforehand."""
        return max((call.at_s for call in self.calls if call.after is None), default=0.0)

    @property
    def adapters(self) -> tuple[str, ...]:
        """LoRA adapters that it uses, sorted."""
        return tuple(sorted({call.adapter for call in self.calls if call.adapter}))

    def at_rate(self, factor: float) -> Workload:
        """The same calls, `factor` times as many per second. Pauses within sessions stay as they are."""
        if not factor > 0:
            raise ValueError(f"the factor is {factor}; it must be more than 0")
        return replace(
            self,
            calls=tuple(
                call if call.after is not None else replace(call, at_s=call.at_s / factor) for call in self.calls
            ),
        )

    def first(self, count: int) -> Workload:
        """The first `count` calls."""
        return replace(self, calls=self.calls[:count])

    def __repr__(self) -> str:
        return f"<Workload {self.name}: {len(self.calls)} calls in {self.duration_s:.0f} s>"
