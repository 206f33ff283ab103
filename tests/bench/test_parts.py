"""To which part of a request's way a function belongs, and the whole measurement once."""

from __future__ import annotations

import pytest

from bench.extproc.parts import GRPC, LIBRARIES, measure_parts, part_of
from bench.extproc.servers import ours, pages


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("/src/epp/extproc/server.py", "transport: streams, protobuf"),
        ("/src/epp/extproc/exchange.py", "exchange: phases, headers, answers"),
        ("/src/epp/exchange.py", "exchange: phases, headers, answers"),
        ("/src/epp/requests/parse.py", "request: operation, prompt, limits"),
        ("/src/epp/requests/fields.py", "request: JSON"),
        ("/src/epp/scheduling/cost.py", "schedule: cost"),
        ("/src/epp/prefix/hashing.py", "prefix: hashing"),
        ("/usr/lib/python3.11/dataclasses.py", LIBRARIES),
        ("/v/site-packages/numpy/_core/fromnumeric.py", LIBRARIES),
        ("/src/bench/extproc/parts.py", None),
    ],
)
def test_where_a_function_stands_says_whose_it_is(file: str, part: str | None) -> None:
    assert part_of(file) == part


async def test_the_parts_are_the_whole() -> None:
    async with pages(2) as endpoints, ours(endpoints) as server:
        found = await measure_parts(server, endpoints, 4_096, 0.2)
    names = [part.name for part in found.parts]
    assert names[0] == GRPC
    assert {"request: JSON", "prefix: hashing", "schedule: cost", "transport: streams, protobuf"} < set(names)
    assert all(part.us >= 0.0 for part in found.parts)
    assert sum(part.us for part in found.parts) >= found.total_us * 0.999
