"""Pool files of `epp simulate`: which pods there are, what pickers see of them, and what goes wrong.

    pods:
      - count: 6                      # how many of this kind; all keys have defaults
        hardware: h100                # a profile that `epp simulate --list` names
        speed: 1.0
        pricePerHour: 3.0             # US dollars; the hardware's own when left out
        engine: {numGpuBlocks: 16384, maxNumSeqs: 256, maxLoras: 4}
    picker:
      scrapeInterval: 1s
      replicas: 2                     # pickers that do not share what they know
      lean: false
    incidents:
      - {at: 60s, pod: 3, speed: 0.25}
      - {at: 90s, pod: 0, happens: restart}

Bad: `count: 0`, an incident of a pod that is not there, a `happens` that is none of `speed`, `fail` and `restart`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from epp.config.errors import ConfigError, Findings, Place, Problem, meant
from epp.config.fields import Model
from epp.config.load import read_config
from epp.config.units import Between, Duration, Share
from epp.config.validation import validate
from epp.config.yaml_document import read_document
from epp.simulator import EngineSettings, HardwareProfile, Incident, IncidentKind, PickerSight, Scenario, SimulatedPod
from epp.simulator.costs import DEFAULT_COST
from epp.simulator.hardware import HARDWARE

__all__ = ["DEFAULT_PODS", "default_pool", "read_pool", "with_adapter_slots"]

DEFAULT_PODS = 8

DEFAULT_SLOTS = 8
"""For adapters, on each pod of the default pool where a workload has some."""

_Positive = Annotated[float, Field(gt=0)]
_Many = Annotated[int, Field(ge=1, le=2**31)]
_Delay = Annotated[Duration, Between(0.0, 3600.0)]


class EngineKeys(Model):
    """Limits of an engine, as vLLM's options say them; those of its hardware when left out."""

    block_size: _Many | None = None
    num_gpu_blocks: _Many | None = None
    max_num_seqs: _Many | None = None
    max_num_batched_tokens: _Many | None = None
    max_model_len: _Many | None = None
    max_loras: Annotated[int, Field(ge=0, le=10_000)] | None = None
    lora_load_s: Annotated[float, Field(ge=0)] | None = None
    max_queued_requests: _Many | None = None
    enable_prefix_caching: bool | None = None
    host_blocks: Annotated[int, Field(ge=0, le=2**31)] | None = None


class PodKeys(Model):
    """Pods of one kind."""

    count: Annotated[int, Field(ge=1, le=4096)] = 1
    hardware: str = ""
    speed: _Positive = 1.0
    price_per_hour: Annotated[float, Field(ge=0)] | None = None
    engine: EngineKeys = EngineKeys()


class PickerKeys(Model):
    """What pickers see."""

    scrape_interval: Annotated[Duration, Between(0.01, 3600.0)] = 1.0
    scrape_delay: _Delay = 0.02
    reply_delay: _Delay = 0.001
    reply_loss: Share = 0.0
    replicas: Annotated[int, Field(ge=1, le=64)] = 1
    decision: _Delay = 0.001
    decision_per_megabyte: _Delay = 0.0008
    lean: bool = False


class IncidentKeys(Model):
    """Something that happens to one pod."""

    at: Annotated[Duration, Between(0.0, 1e7)]
    pod: Annotated[int, Field(ge=0, le=4095)]
    happens: IncidentKind = IncidentKind.SPEED
    speed: _Positive = 1.0


class PoolFile(Model):
    """The file."""

    pods: tuple[PodKeys, ...] = (PodKeys(count=DEFAULT_PODS),)
    picker: PickerKeys = PickerKeys()
    incidents: tuple[IncidentKeys, ...] = ()


def default_pool() -> Scenario:
    """What is simulated when no file says otherwise: eight pods of the default hardware."""
    return _scenario(PoolFile(), "default pool")


def with_adapter_slots(pool: Scenario) -> Scenario:
    """The pool with slots for LoRA adapters on every pod."""
    pods = (replace(pod, engine=replace(pod.engine, max_loras=DEFAULT_SLOTS)) for pod in pool.pods)
    return replace(pool, pods=tuple(pods))


def read_pool(path: Path) -> Scenario:
    """The pool that a file describes. Raises ConfigError with all that is wrong."""
    return parse_pool(read_config(path), str(path))


def parse_pool(data: bytes, source: str) -> Scenario:
    """The same from bytes; `source` is for messages. Raises ConfigError."""
    findings = Findings()
    root = read_document(data, source, findings)
    findings.raise_errors()
    if root is None or root.value is None:
        raise ConfigError([Problem(Place(source), "", "is empty: write at least 'pods: [{count: 8}]'")])
    file = validate(PoolFile, root, "", findings)
    findings.raise_errors()
    assert file is not None, "no model without errors"
    try:
        return replace(_scenario(file, source), name=Path(source).stem)
    except ValueError as error:
        raise ConfigError([Problem(root.place, "", str(error))]) from None


def _scenario(file: PoolFile, source: str) -> Scenario:
    kinds = [pod for keys in file.pods for pod in [_pod(keys, source)] * keys.count]
    picker = file.picker
    return Scenario(
        pods=tuple(replace(pod, name=f"pod-{number}") for number, pod in enumerate(kinds)),
        sight=PickerSight(
            scrape_interval_s=picker.scrape_interval,
            scrape_delay_s=picker.scrape_delay,
            reply_delay_s=picker.reply_delay,
            reply_loss=picker.reply_loss,
            replicas=picker.replicas,
            decision_s=picker.decision,
            decision_per_mb_s=picker.decision_per_megabyte,
            lean=picker.lean,
        ),
        incidents=tuple(Incident(one.at, one.pod, one.happens, one.speed) for one in file.incidents),
    )


def _pod(keys: PodKeys, source: str) -> SimulatedPod:
    name = keys.hardware or DEFAULT_COST
    if name not in HARDWARE:
        message = f"unknown hardware {name[:80]!r}{meant(name, HARDWARE)}"
        raise ConfigError([Problem(Place(source), "pods", message)])
    hardware = HARDWARE[name]
    written = {key: value for key, value in keys.engine.model_dump().items() if value is not None}
    price = hardware.price_per_hour if keys.price_per_hour is None else keys.price_per_hour
    return SimulatedPod(
        name="",
        engine=_engine(hardware, written),
        cost=hardware.cost,
        speed=keys.speed,
        hardware=name,
        price_per_hour=price,
    )


def _engine(hardware: HardwareProfile, written: Mapping[str, Any]) -> EngineSettings:
    """The hardware's, but for what is written. Prompts may be as long as the cache, unless a limit is written."""
    settings = replace(hardware.engine_settings(), **{**written, "max_model_len": 1})
    length = written.get("max_model_len", settings.capacity_tokens)
    return replace(settings, max_model_len=length)
