"""`epp explain`, asked of a picker that runs."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import Result

from tests.commands.invoking import invoke
from tests.process.picking import NOWHERE, Picker, running_picker

PROMPT = json.dumps({"model": "m", "prompt": "hello " * 400})
SCORERS = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins: [{type: queue-scorer}, {type: kv-cache-utilization-scorer}, {type: prefix-cache-scorer}]
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer, weight: 2}
  - {pluginRef: kv-cache-utilization-scorer, weight: 2}
  - {pluginRef: prefix-cache-scorer, weight: 3}
"""


async def explain(picker: Picker, *args: str, stdin: str | bytes = "") -> Result:
    """Asks the picker, which runs in this thread."""
    url = f"--url=127.0.0.1:{picker.ports.http}"
    return await asyncio.to_thread(invoke, "explain", url, *args, stdin=stdin)


async def test_of_a_request_that_would_come_now(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text(PROMPT)
    async with running_picker() as picker:
        await picker.process.wait_ready()
        result = await explain(picker, str(request), "--path", "/v1/completions")
        assert (result.exit_code, result.stderr) == (0, "")
        heading, estimate, columns, *rows = result.stdout.splitlines()
        assert heading == "completions  model m"
        assert estimate.startswith("prompt about ")
        assert columns.split() == ["endpoint", "matched", "wait", "prefill", "decode", "impact", "cost"]
        assert rows[0].split()[:2] == ["=>", rows[0].split()[1]]
        assert {row.split()[-7] for row in rows} == set(NOWHERE)
        piped = await explain(picker, "-", "--path=/v1/completions", stdin=PROMPT)
        assert piped.stdout.splitlines()[0] == heading
        assert not picker.process.router.decisions, "nothing is placed"


async def test_of_a_request_with_headers_and_a_subset() -> None:
    async with running_picker() as picker:
        await picker.process.wait_ready()
        result = await explain(picker, "-", "--subset", NOWHERE[1], "--subset", NOWHERE[2], stdin=PROMPT)
        assert result.exit_code == 0
        assert f"=>  {NOWHERE[1]}" in result.stdout or f"=>  {NOWHERE[2]}" in result.stdout
        [out] = [line for line in result.stdout.splitlines() if NOWHERE[0] in line]
        assert out.split()[-1] == "subset"
        opaque = await explain(picker, "-", "--header", "Content-Type: text/plain", stdin="any text")
        assert opaque.exit_code == 0
        assert "model (none)" in opaque.stdout
        nobody = await explain(picker, "-", "--subset=10.9.9.9:1", stdin=PROMPT)
        assert nobody.exit_code == 0
        assert "refused: rejected-no-endpoints" in nobody.stdout


async def test_of_past_decisions() -> None:
    async with running_picker() as picker:
        await picker.process.wait_ready()
        none = await explain(picker)
        assert none.exit_code == 1
        assert none.stderr.endswith("has not placed a request yet\n")
        picks = [await picker.pick(PROMPT.encode(), x_request_id=name) for name in ("first", "second")]
        newest = await explain(picker)
        assert ", request id second\n" in newest.stdout
        for asked in ("first", picker.process.router.decisions[0].id):
            past = await explain(picker, "--id", asked)
            assert past.exit_code == 0
            assert ", request id first\n" in past.stdout
            assert f"=>  {picks[0]}" in past.stdout
        unknown = await explain(picker, "--id", "third")
        assert (unknown.exit_code, unknown.stdout) == (1, "")
        assert "no such decision" in unknown.stderr
        as_json = await explain(picker, "--id", "first", "--json")
        assert json.loads(as_json.stdout)["request_id"] == "first"


async def test_scores_are_shown_with_their_weights(tmp_path: Path) -> None:
    config = tmp_path / "epp.yaml"
    config.write_text(SCORERS)
    async with running_picker(config) as picker:
        await picker.process.wait_ready()
        result = await explain(picker, "-", stdin=PROMPT)
        assert result.exit_code == 0
        lines = result.stdout.splitlines()
        heading = [line.split() for line in lines[2:-3]]
        assert heading[0] == ["kv-"]
        assert heading[-1] == ["endpoint", "matched", "x2", "x2", "x3", "score"]
        assert all(len(line.split()) in (6, 7) for line in lines[-3:])
        assert max(map(len, lines)) <= 80


async def test_of_a_wide_pool_the_best_are_shown() -> None:
    many = tuple(f"127.0.{number // 100}.{1 + number % 100}:1" for number in range(300))
    async with running_picker(endpoints=many) as picker:
        await picker.process.wait_ready()
        some = await explain(picker, "-", stdin=PROMPT)
        assert sum(address in some.stdout for address in (f" {one} " for one in many)) == 20
        assert "and 280 more; --all shows them" in some.stdout
        everything = await explain(picker, "-", "--all", stdin=PROMPT)
        assert all(f" {address} " in everything.stdout for address in many)


async def test_debug_pages_with_a_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("open-sesame\n")
    async with running_picker(debug_token_file=str(token)) as picker:
        await picker.process.wait_ready()
        assert (await explain(picker, "-", "--token-file", str(token), stdin=PROMPT)).exit_code == 0
        assert "open-sesame" not in picker.stream.getvalue()
        assert "open-sesame" not in await picker.page("/config")


async def test_what_is_no_json_and_no_text_is_said() -> None:
    async with running_picker() as picker:
        await picker.process.wait_ready()
        broken = await explain(picker, "-", stdin="{")
        assert broken.exit_code == 0
        assert "refused: " in broken.stdout
        binary = await explain(picker, "-", stdin=b"\xff\xfe")
        assert binary.exit_code == 1
        assert "not UTF-8 text" in binary.stderr


@pytest.mark.parametrize(("path", "text"), [("/healthz/x", "is no picker's debug port"), ("", "no such pool")])
async def test_other_servers_and_pools_are_said(path: str, text: str) -> None:
    async with running_picker() as picker:
        await picker.process.wait_ready()
        url = f"--url=http://127.0.0.1:{picker.ports.http}{path}"
        result = await asyncio.to_thread(invoke, "explain", url, *(() if path else ("--pool=other",)))
        assert result.exit_code == 1
        assert text in result.stderr or "answers: " in result.stderr
