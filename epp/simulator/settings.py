"""What can be set about simulated pods."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address

from epp.simulator.costs import DEFAULT_COST
from epp.simulator.hardware import STEP_COSTS
from epp.simulator.scheduler import EngineSettings

__all__ = ["PodSettings", "SimServerSettings"]

MAX_PODS = 1000


@dataclass(frozen=True, slots=True)
class PodSettings:
    """One simulated pod. Raises ValueError for what cannot be."""

    host: str = "127.0.0.1"
    """IP address to listen on."""
    port: int = 0
    """0: one that is free."""
    model: str = "sim-model"
    """Served name of the base model."""
    adapters: tuple[str, ...] = ()
    """LoRA adapters that are there from the start; they need `engine.max_loras`."""
    engine: EngineSettings = field(default_factory=EngineSettings)
    cost: str = DEFAULT_COST
    """Cost model of steps: a name in `STEP_COSTS`."""
    speed: float = 1.0
    """How many times faster than the cost model the engine is."""
    seed: int = 0
    """Chooses the generated texts. Pods with equal seeds answer alike, as replicas of one model do."""
    mean_output_tokens: int = 128
    """Mean length of an answer for which the client sets no limit."""
    shows_start_time: bool = True
    """The metrics page has `process_start_time_seconds`. vLLM's has not with several processes or its Rust frontend."""
    reports_cached_tokens: bool = True
    """Replies tell how much of the prompt was cached, as vLLM's do with `--enable-prompt-tokens-details` only."""

    def __post_init__(self) -> None:
        ip_address(self.host)
        if not 0 <= self.port < 65536:
            raise ValueError(f"port is {self.port}; it must be between 0 and 65535")
        if not self.model or len({self.model, *self.adapters}) <= len(self.adapters) or not all(self.adapters):
            raise ValueError(f"model {self.model!r} and adapters {self.adapters!r} must be different, non-empty names")
        if self.adapters and not self.engine.max_loras:
            raise ValueError(f"there are {len(self.adapters)} adapters, but max_loras is 0: set it to at least 1")
        if self.cost not in STEP_COSTS:
            raise ValueError(f"cost is {self.cost!r}; there are: {', '.join(STEP_COSTS)}")
        if not self.speed > 0:
            raise ValueError(f"speed is {self.speed}; it must be more than 0")
        if not 0 <= self.seed < 2**63 or self.mean_output_tokens < 1:
            raise ValueError("seed must be between 0 and 2**63 - 1, mean_output_tokens at least 1")


@dataclass(frozen=True, slots=True)
class SimServerSettings:
    """A fleet of simulated pods in one process. Raises ValueError for what cannot be."""

    pods: int = 4
    """How many."""
    hosts: tuple[str, ...] = ("127.0.0.1",)
    """IP addresses; the pods take them in turn."""
    port: int = 8000
    """Port of the first pod on each address, the next ones follow; 0: free ports."""
    model: str = "sim-model"
    """Served name of the base model."""
    adapters: tuple[str, ...] = ()
    """LoRA adapters on every pod."""
    speeds: tuple[float, ...] = (1.0,)
    """How many times faster than the cost model the engines are; the pods take them in turn."""
    cost: str = DEFAULT_COST
    """Cost model of steps: a name in `STEP_COSTS`."""
    engine: EngineSettings = field(default_factory=EngineSettings)
    """Cache, batch and LoRA limits of every pod."""
    seed: int = 0
    """Chooses the generated texts."""
    mean_output_tokens: int = 128
    """Mean length of an answer for which the client sets no limit."""

    def __post_init__(self) -> None:
        if not 1 <= self.pods <= MAX_PODS:
            raise ValueError(f"pods is {self.pods}; it must be between 1 and {MAX_PODS}")
        if not self.hosts or not self.speeds:
            raise ValueError("hosts and speeds must have at least one item")
        self.pod_settings()

    def pod_settings(self) -> tuple[PodSettings, ...]:
        """Settings of each pod. Raises ValueError."""
        return tuple(
            PodSettings(
                host=self.hosts[number % len(self.hosts)],
                port=self.port and self.port + number // len(self.hosts),
                model=self.model,
                adapters=self.adapters,
                engine=self.engine,
                cost=self.cost,
                speed=self.speeds[number % len(self.speeds)],
                seed=self.seed,
                mean_output_tokens=self.mean_output_tokens,
            )
            for number in range(self.pods)
        )
