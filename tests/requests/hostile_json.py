"""Strategies for JSON texts in which everything is spelled in the most awkward ways that are allowed."""

from __future__ import annotations

import json

from hypothesis import strategies as st

__all__ = ["body_texts", "space", "spelled", "string_texts", "value_texts"]

_SHORT = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}

space = st.sampled_from(["", "", "", " ", "\n", "\t ", " \r\n\t "])

_keys = st.sampled_from(
    [
        *('"model"', '"mod\\u0065l"', '"\\u006d\\u006F\\u0064\\u0065\\u006C"', '"model"'),
        *('"messages"', '"prompt"', '"models"', '"Model"', '"mo\\"del"', '"\\\\model"', '"x"', '""', '"модель"'),
    ]
)

_pieces = st.sampled_from(
    [
        *(
            "model",
            '\\"model\\":\\"x\\"',
            '\\"model\\"',
            "{",
            "}]",
            ",",
            ":",
            "NaN",
            "Infinity",
            "data:image/png;base64,",
        ),
        *("\\\\", '\\"', "\\/", "\\n", "\\u0022", "\\u005c", "\\\\ud800", "\\ud800", "\\uDC00", "\\ud83d\\ude00"),
        *("😀", "é", "\u2028", "\x7f", " "),
    ]
)

_numbers = st.sampled_from(["0", "-0", "12", "1e400", "-1.5E+3", "0.1", "9" * 40, "NaN", "Infinity", "-Infinity"])
_scalars = st.sampled_from(["true", "false", "null"]) | _numbers


def _spellings(char: str) -> list[str]:
    units = char.encode("utf-16-be", "surrogatepass")
    found = ["".join(f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2))]
    if char in _SHORT:
        found.append(_SHORT[char])
    if char not in '"\\' and char >= " " and not 0xD800 <= ord(char) <= 0xDFFF:
        found.append(char)
    return found


def spelled(text: str) -> st.SearchStrategy[str]:
    """A JSON string that reads `text`."""
    return st.tuples(*(st.sampled_from(_spellings(char)) for char in text)).map(lambda parts: f'"{"".join(parts)}"')


def string_texts() -> st.SearchStrategy[str]:
    """Strings that like to look like structure, halves of surrogate pairs included."""
    plain = st.characters().map(lambda char: json.dumps(char)[1:-1])
    return st.lists(_pieces | plain, max_size=6).map(lambda pieces: f'"{"".join(pieces)}"')


def _enclosed(brackets: str, items: list[tuple[str, str]]) -> str:
    return brackets[0] + ",".join(f"{gap}{item}{gap}" for gap, item in items) + brackets[1]


def _arrays(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.tuples(space, values), max_size=4).map(lambda items: _enclosed("[]", items))


def _objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.tuples(_keys, space, values).map(lambda parts: f"{parts[0]}{parts[1]}:{parts[1]}{parts[2]}")
    return st.lists(st.tuples(space, members), max_size=6).map(lambda items: _enclosed("{}", items))


value_texts = st.recursive(_scalars | string_texts(), lambda values: _arrays(values) | _objects(values), max_leaves=10)


def body_texts() -> st.SearchStrategy[str]:
    """Documents that are objects, with duplicate and escaped keys."""
    return st.tuples(space, _objects(value_texts), space).map("".join)
