"""What a proxy says in its metadata, and what is made of it when it is broken."""

import pytest

from epp.extproc import wire_pb2 as wire
from epp.extproc.metadata import served_in, subset_in
from epp.protocol import LB_NAMESPACE, SERVED, SUBSET, SUBSET_NAMESPACE


def metadata(namespace: str, key: str, value: object) -> bytes:
    message = wire.Metadata()
    message.filter_metadata[namespace].update({key: value})
    return message.SerializeToString()


HINT = metadata(SUBSET_NAMESPACE, SUBSET, "10.0.0.1:8000")

SUBSETS = {
    "none": (b"", None),
    "one": (HINT, ("10.0.0.1:8000",)),
    "a list, with commas": (metadata(SUBSET_NAMESPACE, SUBSET, ["a:1, b:2", "c:3"]), ("a:1", "b:2", "c:3")),
    "empty": (metadata(SUBSET_NAMESPACE, SUBSET, ""), ()),
    "a number": (metadata(SUBSET_NAMESPACE, SUBSET, 5), ()),
    "in another namespace": (metadata("other", SUBSET, "10.0.0.1:8000"), None),
    "broken": (HINT + b"\xff", ()),
    "cut off": (HINT[:-1], ()),
    "cut off after its name": (HINT[: HINT.index(SUBSET.encode()) + len(SUBSET)], ()),
}


@pytest.mark.parametrize(("raw", "allowed"), SUBSETS.values(), ids=SUBSETS)
def test_a_hint_that_cannot_be_read_allows_nothing(raw: bytes, allowed: tuple[str, ...] | None) -> None:
    assert subset_in(raw) == allowed


FEEDBACK = metadata(LB_NAMESPACE, SERVED, "10.0.0.1:8000")


@pytest.mark.parametrize(("raw", "served"), [(b"", None), (FEEDBACK, "10.0.0.1:8000"), (FEEDBACK + b"\xff", None)])
def test_feedback_that_cannot_be_read_is_none(raw: bytes, served: str | None) -> None:
    assert served_in(raw) == served
