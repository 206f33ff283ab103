"""What engines run on: step times, cache sizes and prices by name, each number with its source or as an assumption.

One profile is a published calibration; the others are a roofline, the same for all accelerators:

    prefill   2 * parameters per token, and 4 * layers * heads * head_dim per pair of tokens, as bf16 operations
    decode    weights once per step, and the KV cache of all tokens that are looked back at, as bytes of memory

What a roofline leaves open comes from two fits of others. Of BLIS (inference-sim/inference-sim, "trained-physics", 36
runs of 8B to 141B models on H100, A100 and L40S, median error 7-9 %): reading weights takes 1.4 times as long as the
memory's bandwidth says, reading the KV cache 1.9 times; a step has 126 us of its own, 32 us for each layer and 4 us for
each sequence; a request meets the engine after 15.6 + 0.78 ms. Of llm-d (recipe for Qwen3-32B on two H100: a step of
8,192 prompt tokens runs at 15,928 tokens per second): prefill reaches 0.62 of the peak. llm-d's own fit to other
measurements of that pair is 20,480, so this may be too low by a fourth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from epp.simulator.costs import COSTS, DEFAULT_COST, LinearCost, StepCost
from epp.simulator.scheduler import EngineSettings

__all__ = ["HARDWARE", "STEP_COSTS", "Accelerator", "HardwareProfile", "ModelShape", "roofline"]

PREFILL_EFFICIENCY = 0.62
WEIGHTS_FACTOR = 1.4
KV_FACTOR = 1.9
STEP_S = 126e-6
LAYER_S = 32e-6
SEQUENCE_S = 4e-6
ARRIVAL_S = 15.6e-3 + 0.78e-3
"""For all of these see above."""

BYTES_PER_NUMBER = 2
"""bf16, for weights and KV cache."""

MEMORY_UTILISATION = 0.9
"""vLLM's `gpu_memory_utilization`."""

ACTIVATION_BYTES = 2e9
"""Per accelerator, beside weights and KV cache. An assumption."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One device, as its maker describes it."""

    name: str
    flops: float
    """Dense bf16 operations per second, at peak."""
    bytes_per_s: float
    """Of its memory, at peak."""
    memory_bytes: float
    price_per_hour: float
    """US dollars for one device, on demand. An assumption."""
    source: str
    price_source: str
    max_num_batched_tokens: int = 8192
    """Tokens per step that fit such a device. An assumption, near vLLM's defaults."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What of a dense model its times depend on."""

    name: str
    parameters: float
    layers: int
    heads: int
    kv_heads: int
    head_dim: int

    @property
    def weight_bytes(self) -> float:
        """Size of the weights."""
        return self.parameters * BYTES_PER_NUMBER

    @property
    def kv_bytes_per_token(self) -> float:
        """Size of a token's keys and values in all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * BYTES_PER_NUMBER


@dataclass(frozen=True, slots=True)
class HardwareProfile:
    """A replica of a model on some hardware."""

    name: str
    model: str
    """For which the numbers are."""
    devices: int
    """Accelerators that one replica takes."""
    cost: StepCost
    kv_tokens: int
    """Tokens that the KV cache holds."""
    max_num_batched_tokens: int
    price_per_hour: float
    """US dollars for all devices of a replica, on demand."""
    source: str
    assumptions: tuple[str, ...]
    """What no source says."""

    def engine_settings(self, *, block_size: int = 16, max_model_len: int = 131_072) -> EngineSettings:
        """Settings of an engine on it, the model's length cut to what the cache holds. Others can be replaced."""
        blocks = self.kv_tokens // block_size + 1  # one is unusable
        return EngineSettings(
            block_size=block_size,
            num_gpu_blocks=blocks,
            max_num_batched_tokens=self.max_num_batched_tokens,
            max_model_len=min(max_model_len, (blocks - 1) * block_size),
        )


def roofline(name: str, accelerator: Accelerator, model: ModelShape, devices: int = 1) -> HardwareProfile:
    """A profile from data sheets, as the module says. Raises ValueError if the weights do not fit."""
    flops_per_s = PREFILL_EFFICIENCY * accelerator.flops * devices
    bytes_per_s = accelerator.bytes_per_s * devices
    usable = (MEMORY_UTILISATION * accelerator.memory_bytes - ACTIVATION_BYTES) * devices
    kv_tokens = int((usable - model.weight_bytes) / model.kv_bytes_per_token)
    if kv_tokens < 1:
        raise ValueError(f"{model.name} does not fit into {devices} x {accelerator.name}")
    attention_flops = 4 * model.layers * model.heads * model.head_dim / 2  # `prefill_attention` counts pairs twice
    cost = LinearCost(
        step_s=STEP_S + LAYER_S * model.layers + WEIGHTS_FACTOR * model.weight_bytes / bytes_per_s,
        decode_seq_s=SEQUENCE_S,
        decode_context_token_s=KV_FACTOR * model.kv_bytes_per_token / bytes_per_s,
        prefill_token_s=2 * model.parameters / flops_per_s,
        prefill_attention_s=attention_flops / flops_per_s,
        arrival_s=ARRIVAL_S,
    )
    return HardwareProfile(
        name,
        model.name,
        devices,
        cost,
        kv_tokens,
        accelerator.max_num_batched_tokens,
        accelerator.price_per_hour * devices,
        f"roofline of {accelerator.source}, with the factors of BLIS and of llm-d's Qwen3-32B recipe",
        (
            "the factors, fitted on NVIDIA's accelerators, hold on all of them",
            "several devices share a model without loss beyond that of the recipe, which has two",
            f"{ACTIVATION_BYTES / 1e9:.0f} GB per device for activations; {MEMORY_UTILISATION:.0%} of memory is used",
            f"steps of {accelerator.max_num_batched_tokens} tokens",
            f"price: {accelerator.price_source}",
        ),
    )


LLAMA_8B = ModelShape("Llama-3.1-8B bf16", 8.03e9, layers=32, heads=32, kv_heads=8, head_dim=128)
QWEN_32B = ModelShape("Qwen3-32B bf16", 32.8e9, layers=64, heads=64, kv_heads=8, head_dim=128)

H100 = Accelerator(
    "H100", 989e12, 3.35e12, 80e9, 6.88, "NVIDIA's data sheet (H100 SXM)", "AWS p5.48xlarge / 8, on demand, 2025"
)
H200 = Accelerator(
    "H200", 989e12, 4.8e12, 141e9, 7.91, "NVIDIA's data sheet (H200 SXM)", "AWS p5en.48xlarge / 8, on demand, 2025"
)
B200 = Accelerator(
    "B200", 2250e12, 8e12, 180e9, 14.24, "NVIDIA's data sheet (HGX B200)", "AWS p6-b200.48xlarge / 8, on demand, 2025"
)
MI300X = Accelerator(
    *("MI300X", 1307e12, 5.3e12, 192e9, 6.00),
    *("AMD's data sheet (MI300X)", "Azure ND96isr MI300X v5 / 8, on demand, 2025"),
)
L40S = Accelerator(
    *("L40S", 362e12, 0.864e12, 48e9, 1.86),
    *("NVIDIA's data sheet (L40S)", "AWS g6e.xlarge, on demand, 2025", 2048),
)
TPU_V5E = Accelerator(
    *("TPU v5e", 197e12, 0.819e12, 16e9, 1.20),
    *("Google's documentation (v5e chip)", "Google Cloud, one chip in the US, on demand, 2025", 1024),
)
GAUDI3 = Accelerator(
    *("Gaudi 3", 1835e12, 3.7e12, 128e9, 7.50),
    *("Intel's white paper (HL-325L)", "IBM Cloud gx3d with 8 / 8, on demand, 2025"),
)

_CALIBRATED = HardwareProfile(
    DEFAULT_COST,
    "not named by the source",
    1,
    COSTS[DEFAULT_COST],
    16_383 * 16,
    8192,
    H100.price_per_hour,
    "vllm-project/router, docs/program_scheduling.md",
    (
        "a KV cache of the size of Dynamo's mock engine; steps of 8192 tokens",
        f"price: as one H100, which the source does not say; {H100.price_source}",
    ),
)

_PROFILES = (
    _CALIBRATED,
    roofline("h100", H100, LLAMA_8B),
    roofline("h200", H200, LLAMA_8B),
    roofline("b200", B200, LLAMA_8B),
    roofline("mi300x", MI300X, LLAMA_8B),
    roofline("l40s", L40S, LLAMA_8B),
    roofline("tpu-v5e-4", TPU_V5E, LLAMA_8B, 4),
    roofline("gaudi3", GAUDI3, LLAMA_8B),
    roofline("h100-2-32b", H100, QWEN_32B, 2),
    roofline("h200-32b", H200, QWEN_32B),
    roofline("b200-32b", B200, QWEN_32B),
    roofline("mi300x-32b", MI300X, QWEN_32B),
    roofline("l40s-4-32b", L40S, QWEN_32B, 4),
    roofline("tpu-v5e-8-32b", TPU_V5E, QWEN_32B, 8),
    roofline("gaudi3-32b", GAUDI3, QWEN_32B),
)

HARDWARE: Mapping[str, HardwareProfile] = MappingProxyType({profile.name: profile for profile in _PROFILES})
"""Profiles by name. A number in a name is that of the accelerators, if there are several; 32b: not the 8B model."""

STEP_COSTS: Mapping[str, StepCost] = MappingProxyType(
    {**COSTS, **{name: profile.cost for name, profile in HARDWARE.items()}}
)
"""All cost models that have a name."""
