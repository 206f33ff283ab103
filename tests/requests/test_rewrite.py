"""The client's model name comes back in replies, wherever chunks are cut, and nothing else changes."""

import json
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from epp.requests import ModelRestorer, replace_model
from tests.requests.hostile_json import space, spelled, string_texts

TARGET, MODEL = "org/tiny-v2", "tiny"


def restored(data: bytes, cuts: list[int], target: str = TARGET, model: str = MODEL) -> bytes:
    restorer = ModelRestorer(target, model)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    out = [restorer.feed(data[start:end], end=False) for start, end in pairwise(edges)]
    return b"".join([*out, restorer.feed(b"", end=True)])


REPLIES = {
    "JSON": (b'{"id":"1","model":"org/tiny-v2","choices":[]}', b'{"id":"1","model":"tiny","choices":[]}'),
    "white space": (b'{"model" :\n "org/tiny-v2"}', b'{"model" :\n "tiny"}'),
    "an event stream": (
        b'data: {"model":"org/tiny-v2"}\n\ndata: {"model":"org/tiny-v2"}\n\ndata: [DONE]\n\n',
        b'data: {"model":"tiny"}\n\ndata: {"model":"tiny"}\n\ndata: [DONE]\n\n',
    ),
    "nested": (b'{"message":{"model":"org/tiny-v2"}}', b'{"message":{"model":"tiny"}}'),
    "escaped": (rb'{"model":"org\/tiny\u002Dv2"}', b'{"model":"tiny"}'),
    "at the very end": (b'"model":"org/tiny-v2"', b'"model":"tiny"'),
    "another model": (b'{"model":"org/tiny-v2x","a":1}', None),
    "a shorter one": (b'{"model":"org/tiny"}', None),
    "another key": (b'{"models":"org/tiny-v2","a_model":"org/tiny-v2"}', None),
    "no string": (b'{"model":["org/tiny-v2"]}', None),
    "text about it": (rb'{"content":"\"model\":\"org/tiny-v2\" and \\\"model\":\"org/tiny-v2\""}', None),
    "a value": (b'{"a":"model","b":"org/tiny-v2"}', None),
    "more white space than anyone writes": (b'{"model":' + b" " * 65 + b'"org/tiny-v2"}', None),
    "unfinished": (b'{"model":"org/tin', None),
    "nothing": (b"", None),
}


@pytest.mark.parametrize(("data", "expected"), REPLIES.values(), ids=REPLIES)
def test_whole_and_byte_by_byte(data: bytes, expected: bytes | None) -> None:
    wanted = data if expected is None else expected
    assert restored(data, []) == wanted
    assert restored(data, list(range(len(data)))) == wanted


_PIECES = st.sampled_from(
    [
        b'"model"',
        b'"model":',
        b'"org/tiny-v2"',
        b'"model":"org/tiny-v2"',
        b'"mod',
        b'el"',
        b'"',
        b"\\",
        b'\\"',
        b":",
        b" ",
    ]
)


@given(st.lists(_PIECES | st.binary(max_size=2), max_size=12).map(b"".join), st.lists(st.integers(0, 80), max_size=6))
@example(b'"model":"model":"org/tiny-v2"', [12])
def test_where_chunks_are_cut_makes_no_difference(data: bytes, cuts: list[int]) -> None:
    assert restored(data, cuts) == restored(data, [])


@given(st.sampled_from(["model", "m", '"model":"', "a/é😀", "\udcff", ""]), st.data())
def test_names_of_any_kind_come_back(target: str, data: st.DataObject) -> None:
    """A document in any spelling reads the same, but for the model."""
    key, gap, name = '"model"', data.draw(space), data.draw(spelled(target))
    other = data.draw(string_texts())
    text = f'{{{gap}"a":{other},{key}{gap}:{gap}{name},"b":{{{key}:{name}}},"c":{other}}}'
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=5))
    reply = restored(text.encode("utf-8", "surrogatepass"), cuts, target, 'client "x"\ud800')
    before = json.loads(text)
    assert json.loads(reply) == before | {"model": 'client "x"\ud800', "b": {"model": 'client "x"\ud800'}}


HELD = {
    b'{"a":1': b"",
    b'{"a":"': b'"',
    b'{"mod': b'"mod',
    b'{\\"mod': b"",
    b'{"moda': b"",
    b'{"model"  ': b'"model"  ',
    b'{"model":"or': b'"model":"or',
    b'{"model":"other': b"",
    b'{"model":5': b"",
    b'{"model":"\\u006f': b'"model":"\\u006f',
    b'{"model":"org/tiny-v2"': b"",
}


@pytest.mark.parametrize(("data", "held"), HELD.items())
def test_only_the_possible_beginning_of_a_pair_is_held_back(data: bytes, held: bytes) -> None:
    restorer = ModelRestorer(TARGET, MODEL)
    sent = restorer.feed(data, end=False)
    assert f" {len(held)} B held" in repr(restorer)
    assert sent + held == data.replace(b'"org/tiny-v2"', b'"tiny"')


@given(st.binary(max_size=40))
def test_nothing_is_held_back_beyond_the_end(data: bytes) -> None:
    restorer = ModelRestorer("x", "y")
    assert restorer.feed(data + b'"model":"', end=True) == data + b'"model":"'


def test_little_is_held_back_whatever_comes() -> None:
    restorer = ModelRestorer("x" * 10, "y")
    for filler in (b'"model"' + b" " * 500, b'"model":"' + b"x" * 500, b'"model":"' + rb"\u0078" * 500):
        assert len(restorer.feed(filler, end=False)) >= len(filler) - 300


def test_a_name_is_replaced_and_no_other_byte() -> None:
    body = b'{ "model" : "a" , "x":"\\u0061\xff" }'
    assert replace_model(body, (12, 15), 'b"\u00e9') == b'{ "model" : "b\\"\\u00e9" , "x":"\\u0061\xff" }'
