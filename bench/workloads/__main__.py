"""`python -m bench.workloads`: a table of the study's workloads, and of traces whose files are given."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.workloads.catalogue import ALL, HELD_OUT, HELD_OUT_SEEDS, TUNING, TUNING_SEEDS, trace, workload
from bench.workloads.load import offered_load
from epp.workloads import Call, Segment, Workload, call_names, reusable_tokens
from epp.workloads.errors import WorkloadError

_BLOCK_TOKENS = 16
_COLUMNS = (
    ("workload", "left"),
    ("calls", "right"),
    ("s", "right"),
    ("prompt", "right"),
    ("p99", "right"),
    ("answer", "right"),
    ("p99", "right"),
    ("reusable", "right"),
    ("first block", "right"),
    ("load", "right"),
)


def row(item: Workload) -> tuple[str, ...]:
    """A line of the table: what `_COLUMNS` name."""
    prompts = np.array([call.prompt_tokens for call in item.calls])
    answers = np.array([call.output_tokens for call in item.calls])
    reusable = reusable_tokens(item, _BLOCK_TOKENS)
    return (
        item.name,
        f"{len(item.calls):,}",
        f"{item.duration_s:,.0f}",
        f"{prompts.mean():,.0f}",
        f"{np.quantile(prompts, 0.99):,.0f}",
        f"{answers.mean():,.0f}",
        f"{np.quantile(answers, 0.99):,.0f}",
        f"{reusable.sum() / prompts.sum():.0%}",
        f"{common_first_block(item):.0%}",
        f"{offered_load(item, reusable.tolist()):.0%}",
    )


def common_first_block(item: Workload) -> float:
    """Share of calls whose prompt begins with the block with which most begin."""
    firsts = Counter(name for call in item.calls if (name := _first_block(call)) is not None)
    return max(firsts.values(), default=0) / len(item.calls)


def _first_block(call: Call) -> int | None:
    """The name of the prompt's first block; None when it is shorter."""
    pieces: list[Segment] = []
    for segment in call.prompt:
        pieces.append(segment)
        if sum(piece.tokens for piece in pieces) >= _BLOCK_TOKENS:
            return int(call_names(replace(call, prompt=tuple(pieces)), _BLOCK_TOKENS)[0])
    return None


@click.command(help=__doc__)
@click.option("--only", type=click.Choice(list(ALL)), multiple=True, help="One of the workloads; repeatable.")
@click.option("--trace", "traces", type=click.Path(path_type=Path), multiple=True, help="A recorded trace; repeatable.")
@click.option("--calls", default=1500, show_default=True, help="Calls that are read of a trace.")
@click.option("--seed", type=int, help="One seed for all. Default: the first of the tuning or the held-out seeds.")
def main(only: tuple[str, ...], traces: tuple[Path, ...], calls: int, seed: int | None) -> None:
    """Prints the table."""
    try:
        recorded = [trace(path, calls) for path in traces]
    except WorkloadError as error:
        raise click.ClickException(str(error)) from error
    table = Table(
        caption="reusable: share of prompt tokens that an endless cache would have. first block: calls that begin with "
        "the most common 16 tokens. load: share of 8 pods that is busy when all of it is reused."
    )
    for title, side in _COLUMNS:
        table.add_column(title, justify="left" if side == "left" else "right")
    for part, seeds in ((TUNING, TUNING_SEEDS), (HELD_OUT, HELD_OUT_SEEDS)):
        for name in part:
            if name in (only or ALL):
                table.add_row(*row(workload(name, seeds[0] if seed is None else seed)))
        table.add_section()
    for item in recorded:
        table.add_row(*row(item))
    Console().print(table)


if __name__ == "__main__":
    main()
