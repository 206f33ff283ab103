"""The policy guide's examples: what is shown is what the code makes of the state that is told."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
from rich.console import Console

from epp.commands.explanations import print_answer
from epp.endpoints import EndpointPool, EndpointSpec
from epp.exchange import RequestReady
from epp.prefix import PrefixChain, PrefixIndex
from epp.router import Decided
from epp.scheduling import Decision, Features, Scheduler, default_profile
from epp.telemetry.debug_views import preview_view, to_json
from tests.docs.pages import ROOT, blocks, cells, console_blocks
from tests.scheduling.plugins.contract import chat, pool_with

POLICY = "docs/policy.md"

CHAIN = PrefixChain(np.arange(1, 31, dtype=np.uint64).tobytes())
"""Of a prompt of 1,965.9 tokens, 63.85 of them in a block of 256 bytes: 30 blocks and a rest."""


def pool_of_the_example() -> EndpointPool:
    """Endpoints with the load that the table tells."""
    rows = [row for row in cells(POLICY, "A worked example") if row[0].startswith("127.")]
    requests, prefill, context = np.array([row[1:] for row in rows], np.float64).T.tolist()
    specs = [EndpointSpec(row[0]) for row in rows]
    return pool_with(specs, requests=requests, prefill_tokens=prefill, context_tokens=context)


def explained(pool: EndpointPool, index: PrefixIndex, features: Features, model: str, adapter: str = "") -> str:
    """What `epp explain FILE` prints."""
    request = replace(chat(adapter=adapter), model=model, target_model=model)
    decision = Scheduler(pool, index, default_profile(), np.random.default_rng(1)).schedule(request, features, (), 0.0)
    assert isinstance(decision, Decision)
    answer = preview_view(RequestReady(request.headers), Decided(request, features, decision, 0.0, 0.0, 0.0))
    console = Console(file=io.StringIO(), width=200, highlight=False)
    print_answer(json.loads(to_json(answer)), console)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined]


def shown(file: str) -> set[str]:
    """What the pages show for that command."""
    return {output for _, command, output in console_blocks() if command == f"epp explain {file}"}


def test_the_worked_example() -> None:
    pool, index = pool_of_the_example(), PrefixIndex()
    row = pool.table.row_of("127.0.0.1:8000")
    assert row is not None
    index.insert(CHAIN, row)
    assert shown("request.json") == {explained(pool, index, Features(CHAIN, 1965.9, 63.85, 24.0), "sim-model")}


def test_the_example_with_adapters() -> None:
    pool = pool_of_the_example()
    pool.table.columns.max_loras[:3] = 1
    row = pool.table.row_of("127.0.0.1:8002")
    assert row is not None
    pool.adapters.placed(row, "legal")
    assert shown("french.json") == {
        explained(pool, PrefixIndex(), Features(CHAIN, 1970.5, 63.85, 24.0), "french", "french")
    }


def test_the_plugin_that_is_shown_is_the_one_that_is_tested() -> None:
    file = ROOT / "tests" / "scheduling" / "plugins" / "example_plugin.py"
    assert file.read_text("utf-8") in {block.text for block in blocks("python")}
