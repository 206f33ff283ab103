"""`epp sim-server`: simulated vLLM servers."""

from __future__ import annotations

from collections.abc import Sequence

import click

from epp.commands.failing import Status, fail
from epp.simulator import EngineSettings, SimServerSettings, run_sim_server
from epp.simulator.costs import DEFAULT_COST
from epp.simulator.hardware import STEP_COSTS

__all__ = ["sim_server"]


@click.command(context_settings={"show_default": True})
@click.option("--pods", type=int, default=4, help="How many.")
@click.option("--host", "hosts", multiple=True, default=("127.0.0.1",), help="IP address; repeatable, pods take turns.")
@click.option("--port", type=int, default=8000, help="Port of the first pod on each address; 0: free ports.")
@click.option("--model", default="sim-model", help="Served name of the base model.")
@click.option("--adapter", "adapters", multiple=True, help="A LoRA adapter on every pod; repeatable.")
@click.option("--max-loras", type=int, default=0, help="Adapters that a pod can hold at a time.")
@click.option(
    "--speed", "speeds", type=float, multiple=True, default=(1.0,), help="Factor; repeatable, pods take turns."
)
@click.option("--cost", type=click.Choice(sorted(STEP_COSTS)), default=DEFAULT_COST, help="Cost model of engine steps.")
@click.option("--block-size", type=int, default=16, help="Tokens per KV block.")
@click.option("--num-gpu-blocks", type=int, default=16384, help="KV blocks of a pod.")
@click.option("--max-num-seqs", type=int, default=256, help="Requests in a batch.")
@click.option("--max-num-batched-tokens", type=int, default=8192, help="Tokens per step.")
@click.option("--max-model-len", type=int, default=131072, help="Tokens of prompt and answer.")
@click.option("--max-queued-requests", type=int, default=None, help="Beyond it the answer is 503; none by default.")
@click.option("--seed", type=int, default=0, help="Chooses the generated texts.")
def sim_server(
    *,
    pods: int,
    hosts: tuple[str, ...],
    port: int,
    model: str,
    adapters: tuple[str, ...],
    max_loras: int,
    speeds: tuple[float, ...],
    cost: str,
    block_size: int,
    num_gpu_blocks: int,
    max_num_seqs: int,
    max_num_batched_tokens: int,
    max_model_len: int,
    max_queued_requests: int | None,
    seed: int,
) -> None:
    """Run simulated vLLM servers: OpenAI and Anthropic APIs, prefix cache, batching, LoRA slots, vLLM's metrics."""
    try:
        engine = EngineSettings(
            block_size=block_size,
            num_gpu_blocks=num_gpu_blocks,
            max_num_seqs=max_num_seqs,
            max_num_batched_tokens=max_num_batched_tokens,
            max_model_len=max_model_len,
            max_loras=max_loras,
            max_queued_requests=max_queued_requests,
        )
        settings = SimServerSettings(
            pods=pods,
            hosts=hosts,
            port=port,
            model=model,
            adapters=adapters,
            speeds=speeds,
            cost=cost,
            engine=engine,
            seed=seed,
        )
    except ValueError as error:
        raise fail(str(error), Status.USAGE) from None
    try:
        run_sim_server(settings, _announce)
    except OSError as error:
        raise fail(f"cannot listen: {error.strerror or error}. Choose another --port") from None


def _announce(addresses: Sequence[str]) -> None:
    for address in addresses:
        click.echo(f"http://{address}")
    click.echo("Ctrl-C ends all.", err=True)
