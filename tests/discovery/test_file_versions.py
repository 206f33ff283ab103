"""Which version of a watched file counts, whatever a writer leaves there on its way."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.discovery.endpoint_file import EndpointFileError, parse_endpoint_file
from epp.discovery.file_versions import STAYS_S, FileVersions

NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5, unique=True)
HERE, ELSEWHERE = (1, 7), (1, 8)
"""Device and inode of the file that is written in place, and of one that is renamed to its name."""

STYLES = ("block", "flow", "json", "json without line end")


def listing(names: list[str], style: str = "flow", label: str = "x") -> bytes:
    """A file that lists endpoints of these names."""
    entries = [
        {"name": name, "address": f"10.0.0.{index}", "port": "8000", "labels": {"l": label}}
        for index, name in enumerate(names)
    ]
    if style.startswith("json"):
        return (json.dumps({"endpoints": entries}) + ("" if style != "json" else "\n")).encode()
    if style == "flow":
        return ("endpoints:\n" + "".join(f"- {json.dumps(entry)}\n" for entry in entries)).encode()
    lines = ["endpoints:"]
    for entry in entries:
        lines += [f"- name: {entry['name']}", f"  address: {entry['address']}", f"  port: {entry['port']}"]
        lines += ["  labels:", f"    l: {label}"]
    return ("\n".join(lines) + "\n").encode()


def versions_of(data: bytes) -> FileVersions:
    return FileVersions("f", HERE, data, parse_endpoint_file(data, "f"))


def found(versions: FileVersions, data: bytes, now: float = 0.0, file: tuple[int, ...] = HERE) -> list[str] | None:
    """Names that are used from now on; None when nothing changes."""
    listed = None
    with contextlib.suppress(EndpointFileError):
        listed = versions.found(data, now, file)
    return None if listed is None else [target.name for target in listed.targets]


@settings(deadline=None, max_examples=30)
@given(NAMES, st.sampled_from(STYLES))
def test_a_file_cut_at_any_byte_changes_nothing(names: list[str], style: str) -> None:
    whole = listing(names, style)
    versions = versions_of(whole)
    for cut in range(len(whole)):
        assert found(versions, whole[:cut]) is None
    assert found(versions, whole) is None
    assert not versions.doubtful


@settings(deadline=None, max_examples=30)
@given(NAMES, NAMES, st.sampled_from(STYLES))
def test_of_a_rewrite_line_by_line_with_other_labels_only_the_end_counts(
    names: list[str], more: list[str], style: str
) -> None:
    after = names + [name for name in more if name not in names]
    whole = listing(after, style, label="y")
    versions = versions_of(listing(names, style))
    sizes = [
        len(taken)
        for cut in [*(at + 1 for at, byte in enumerate(whole) if byte == ord("\n")), len(whole)]
        if (taken := found(versions, whole[:cut])) is not None
    ]
    assert sizes
    assert sizes[-1] == len(after)
    assert min(sizes) >= len(names)


def test_the_beginning_of_a_file_counts_once_it_stays_so() -> None:
    versions = versions_of(listing(["a", "b", "c"]))
    shorter = listing(["a"])
    assert found(versions, shorter, 0.0) is None
    assert versions.doubtful
    assert found(versions, shorter, STAYS_S - 0.1) is None
    assert found(versions, shorter, STAYS_S) == ["a"]
    assert not versions.doubtful
    assert found(versions, shorter, STAYS_S + 1.0) is None


def test_how_long_it_stays_so_begins_anew_with_each_version() -> None:
    versions = versions_of(listing(["a", "b", "c"]))
    assert found(versions, listing(["a"]), 0.0) is None
    assert found(versions, listing(["a", "b"]), 9.0) is None
    assert found(versions, listing(["a", "b"]), 12.0) is None
    assert found(versions, listing(["a", "b", "c"]), 13.0) is None
    assert not versions.doubtful


@pytest.mark.parametrize("label", ["x", "y"], ids=["a beginning of the bytes", "a beginning of the list"])
def test_another_file_in_its_place_counts_at_once(label: str) -> None:
    versions = versions_of(listing(["a", "b", "c"]))
    assert found(versions, listing(["a"], label=label), file=ELSEWHERE) == ["a"]
    assert not versions.doubtful


def test_another_file_that_says_what_was_doubtful_ends_the_doubt() -> None:
    versions = versions_of(listing(["a", "b", "c"]))
    assert found(versions, listing(["a"])) is None
    assert found(versions, listing(["a"]), file=ELSEWHERE) == ["a"]
    assert not versions.doubtful


def test_another_file_that_is_then_written_in_place_is_doubted_like_the_first() -> None:
    versions = versions_of(listing(["a", "b", "c"]))
    assert found(versions, b"", file=ELSEWHERE) is None  # removed and created: whoever did so goes on writing
    assert found(versions, listing(["a"]), file=ELSEWHERE) is None
    assert versions.doubtful


@pytest.mark.parametrize("after", [["b", "c"], ["a", "c"], ["a", "b", "c", "d"], ["c"], []], ids=str)
def test_what_no_writer_leaves_on_its_way_counts_at_once(after: list[str]) -> None:
    text = listing(after) if after else b"endpoints: []\n"
    assert found(versions_of(listing(["a", "b", "c"])), text) == after


def test_a_version_that_cannot_be_used_says_why() -> None:
    versions = versions_of(listing(["a"]))
    with pytest.raises(EndpointFileError, match="does not end with a line end"):
        versions.found(listing(["a", "b"]).rstrip(), 0.0, HERE)
