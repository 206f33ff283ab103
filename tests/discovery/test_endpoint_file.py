"""The endpoint file: what is read, what is skipped, and what is refused as a whole."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.discovery.endpoint_file import MAX_FILE_BYTES, EndpointFileError, parse_endpoint_file
from epp.discovery.targets import HostTarget

GOOD = b"""\
endpoints:
  - name: vllm-0            # required, unique within the file
    namespace: team-a
    address: "10.0.0.1"
    port: "8000"
    metricsPort: "9090"
    labels: {llm-d.ai/role: decode, rank: 0}
  - {name: vllm-1, address: fd00::1, port: 8001}
  - {name: vllm-2, address: "[fd00::2]", port: 8001}
  - {name: vllm-3, address: GPU3.example, port: 8001, labels: null, namespace: ""}
"""

TARGETS = (
    HostTarget("10.0.0.1", 8000, "vllm-0", "team-a", {"llm-d.ai/role": "decode", "rank": "0"}, 9090),
    HostTarget("fd00::1", 8001, "vllm-1"),
    HostTarget("fd00::2", 8001, "vllm-2"),
    HostTarget("gpu3.example", 8001, "vllm-3"),
)

JSON = b"""\
{
\t"endpoints": [
\t\t{"name": "vllm-0", "namespace": "team-a", "address": "10.0.0.1", "port": "8000", "metricsPort": 9090,
\t\t "labels": {"llm-d.ai\\/role": "decode", "rank": 0}},
\t\t{"name": "vllm-1", "address": "fd00::1", "port": 8001},
\t\t{"name": "vllm-2", "address": "[fd00::2]", "port": 8001},
\t\t{"name": "vllm-3", "address": "GPU3.example", "port": 8001, "labels": null}
\t]
}
"""


@pytest.mark.parametrize("data", [GOOD, JSON, GOOD.replace(b"\n", b"\r\n")], ids=["yaml", "json", "crlf"])
def test_a_good_file_is_read_without_problems(data: bytes) -> None:
    listed = parse_endpoint_file(data, "f")
    assert listed.targets == TARGETS
    assert listed.problems == ()


def test_no_endpoints_are_written_as_an_empty_list() -> None:
    assert parse_endpoint_file(b"endpoints: []", "f").targets == ()


ENTRIES = {
    "no name": ("{address: 10.0.0.1, port: 1}", "'name' is missing"),
    "no address": ("{name: a, port: 1}", "'address' is missing"),
    "no port": ("{name: a, address: 10.0.0.1}", "'port' is missing"),
    "an empty port": ("{name: a, address: 10.0.0.1, port: }", "'port' is missing"),
    "a port of 0": ("{name: a, address: 10.0.0.1, port: 0}", "between 1 and 65535"),
    "a bad metrics port": ("{name: a, address: 10.0.0.1, port: 1, metricsPort: -1}", "between 1 and 65535"),
    "a port in the address": ("{name: a, address: '10.0.0.1:8000', port: 1}", "neither an IP address nor a host name"),
    "half an address": ("{name: a, address: 10.0.0, port: 1}", "not an IPv4 address"),
    "text": ("hello", "must be a mapping"),
    "a list": ("[a]", "must be a mapping"),
    "labels in a list": ("{name: a, address: 10.0.0.1, port: 1, labels: [a]}", "'labels' must be a mapping"),
    "nested labels": ("{name: a, address: 10.0.0.1, port: 1, labels: {a: {b: c}}}", "label 'a' must be text"),
    "a name in a list": ("{name: [a], address: 10.0.0.1, port: 1}", "'name' must be text"),
    "a long name": ("{name: " + "a" * 600 + ", address: 10.0.0.1, port: 1}", "'name' must be text of at most 512"),
    "many labels": (
        "{name: a, address: 10.0.0.1, port: 1, labels: {" + ", ".join(f"l{i}: x" for i in range(65)) + "}}",
        "'labels' must be a mapping of at most 64",
    ),
}


@pytest.mark.parametrize(("entry", "reason"), ENTRIES.values(), ids=ENTRIES)
def test_a_bad_entry_is_skipped_and_the_others_count(entry: str, reason: str) -> None:
    text = (
        f"endpoints:\n- {{name: x, address: 10.0.0.8, port: 1}}\n- {entry}\n- {{name: y, address: 10.0.0.9, port: 1}}\n"
    )
    listed = parse_endpoint_file(text.encode(), "f", changing=True)
    assert [target.name for target in listed.targets] == ["x", "y"]
    (problem,) = listed.problems
    assert problem.line == 3
    assert reason in problem.message
    assert "skipped" in problem.message


def test_of_two_entries_with_one_name_the_later_counts() -> None:
    data = b"endpoints:\n- {name: a, address: 10.0.0.1, port: 1}\n- {name: a, address: 10.0.0.2, port: 1}\n"
    listed = parse_endpoint_file(data, "f")
    assert [target.host for target in listed.targets] == ["10.0.0.2"]
    assert [(problem.line, "twice" in problem.message) for problem in listed.problems] == [(3, True)]


def test_of_two_entries_with_one_address_the_later_counts() -> None:
    entries = ("a, address: 10.0.0.1, port: 1", "b, address: 10.0.0.1, port: 2", "c, address: 10.0.0.1, port: 1")
    text = "endpoints:\n" + "".join(f"- {{name: {entry}}}\n" for entry in entries)
    listed = parse_endpoint_file(text.encode(), "f")
    assert [target.name for target in listed.targets] == ["b", "c"]
    (problem,) = listed.problems
    assert problem.line == 4
    assert problem.message == "10.0.0.1 port 1 stands twice, as 'a' and here; the later entry counts"


def test_an_unknown_key_is_told_and_the_entry_counts() -> None:
    listed = parse_endpoint_file(b"endpoints:\n- {name: a, adress: x, address: 10.0.0.1, port: 1}\n", "f")
    assert len(listed.targets) == 1
    assert "'adress'" in listed.problems[0].message


FILES = {
    "empty": (b"", "f: empty: write 'endpoints: \\[\\]'"),
    "only comments": (b"# nothing\n", "f: empty"),
    "an empty mapping": (b"{}", "f: empty"),
    "another key": (b"\nendpoint: []\n", "f:2: has no key 'endpoints'"),
    "a list": (b"- a\n", "f:1: has no key 'endpoints'"),
    "endpoints without a list": (b"endpoints:\n", "f:1: 'endpoints' must be a list"),
    "endpoints as text": (b"x: 1\nendpoints: none\n", "f:2: 'endpoints' must be a list"),
    "not YAML": (b"endpoints:\n- {name: a\n- b\n", "f:3: .* begins in line 2, .*; write a list of endpoints"),
    "binary": (b"\x7fELF\x02\x01\x01\x00", "f:1: not YAML"),
    "too large": (b"#" * (MAX_FILE_BYTES + 1), "f: larger than 1048576 bytes"),
    "too many entries": (b"endpoints:\n" + b"- a\n" * 10_001, "f:2: 10001 entries"),
}


@pytest.mark.parametrize(("data", "message"), FILES.values(), ids=FILES)
def test_a_bad_file_is_refused_with_place_and_remedy(data: bytes, message: str) -> None:
    with pytest.raises(EndpointFileError, match=f"^{message}"):
        parse_endpoint_file(data, "f")


def test_many_aliases_of_one_entry_are_one_endpoint() -> None:
    data = b"endpoints:\n- &a {name: a, address: 10.0.0.1, port: 1}\n" + b"- *a\n" * 9_000
    assert len(parse_endpoint_file(data, "f").targets) == 1


CUT_SHORT = {
    "in its last port": b"endpoints:\n- {name: a, address: a, port: 80",
    "before the last line end": b"endpoints:\n- name: a\n  address: 10.0.0.1\n  port: 8",
    "before a port": b"endpoints:\n- name: a\n  address: 10.0.0.1\n",
    "with a misspelt key in all entries": GOOD.replace(b"address", b"adress"),
    "in JSON": JSON[:-4],
}


@pytest.mark.parametrize("data", CUT_SHORT.values(), ids=CUT_SHORT)
def test_what_may_be_cut_short_is_refused_while_the_file_changes(data: bytes) -> None:
    with pytest.raises(EndpointFileError):
        parse_endpoint_file(data, "f", changing=True)


WHOLE = {
    "yaml": GOOD,
    "json": JSON,
    "json without line end": JSON.rstrip(),
    "json with byte order mark": "\ufeff".encode() + JSON.rstrip(),
    "utf-16": GOOD.decode().encode("utf-16"),
}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_what_is_whole_is_taken_while_the_file_changes(data: bytes) -> None:
    assert parse_endpoint_file(data, "f", changing=True).targets == TARGETS


def test_without_changes_a_last_line_needs_no_end() -> None:
    assert parse_endpoint_file(GOOD.rstrip(), "f").targets == TARGETS


@pytest.mark.parametrize("start", [b"[", b"endpoints: ["])
def test_a_file_with_too_many_values_is_refused_before_its_end(start: bytes) -> None:
    data = start + b"a," * 500_000 + b"]"
    with pytest.raises(EndpointFileError, match="more than 200000 values"):
        parse_endpoint_file(data, "f")


def test_the_largest_list_is_read() -> None:
    labels = "labels: {llm-d.ai/role: decode, zone: a}"
    lines = [f"- {{name: vllm-{i}, address: 10.1.{i // 256}.{i % 256}, port: 8000, {labels}}}" for i in range(10_000)]
    assert len(parse_endpoint_file(("endpoints:\n" + "\n".join(lines)).encode(), "f").targets) == 10_000


@settings(deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_file_or_a_clear_refusal(data: bytes, cut: bool) -> None:
    with contextlib.suppress(EndpointFileError):
        parse_endpoint_file(b"endpoints:\n" + data, "f", changing=cut)
