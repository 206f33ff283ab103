"""Media are cut out of a prompt and leave their digests; everything else stays as it is."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_digest

from epp.exchange import BodyState, Headers
from epp.requests import Dialect, InferenceRequest, Media, parse
from epp.requests.media import MAX_CANDIDATES, MAX_MEDIA, WINDOW_BYTES, cut_media
from tests.requests.hostile_json import value_texts

DATA = "data:image/png;base64,iVBORw0KGgo="


def item(kind: str, content: str) -> Media:
    return Media(kind, xxh3_64_digest(content.encode()), len(content.encode()))


OPENAI = {
    "image by URL": ({"type": "image_url", "image_url": {"url": "https://x/y.png"}}, [("image", "https://x/y.png")]),
    "image as data": ({"image_url": {"detail": "high", "url": DATA}}, [("image", DATA)]),
    "image as plain string": ({"type": "image_url", "image_url": DATA}, [("image", DATA)]),
    "image of the responses API": ({"type": "input_image", "image_url": DATA, "detail": "low"}, [("image", DATA)]),
    "audio": ({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}, [("audio", "UklGRg==")]),
    "audio by URL": ({"audio_url": {"url": "https://x/a"}}, [("audio", "https://x/a")]),
    "video": ({"type": "video_url", "video_url": {"url": "https://x/v"}}, [("video", "https://x/v")]),
    "embeddings of an image": ({"image_embeds": "AAAA"}, [("image", "AAAA")]),
    "embeddings in parts": ({"image_embeds": {"image_embeds": "AAAA", "grid": "BB"}}, [("image", "AAAA")]),
    "two": ([{"image_url": "a"}, {"x": 1}, {"image_url": "b"}], [("image", "a"), ("image", "b")]),
    "an image without content": ({"image_url": None, "uuid": "u"}, []),
    "an empty URL": ({"image_url": {"url": ""}}, []),
    "a number for a URL": ({"image_url": {"url": 5}}, []),
    "a value, not a key": ({"type": "image_url", "text": "image_url"}, []),
    "text about it": ({"text": '{"image_url":{"url":"https://x"}} \\"image_url":"x"'}, []),
    "another key": ({"my_image_url": "https://x", "image_urls": "https://x"}, []),
    "nothing": ({"role": "user", "content": "hi"}, []),
}

ANTHROPIC = {
    "base64": (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
        [("image", "iVBO")],
    ),
    "by URL": ({"type": "image", "source": {"type": "url", "url": "https://x/y"}}, [("image", "https://x/y")]),
    "audio": ({"source": {"data": "UklG", "media_type": "audio/wav", "type": "base64"}}, [("audio", "UklG")]),
    "in the result of a tool": (
        {"type": "tool_result", "content": [{"type": "image", "source": {"type": "base64", "data": "iVBO"}}]},
        [("image", "iVBO")],
    ),
    "a plain document is text": ({"source": {"type": "text", "media_type": "text/plain", "data": "words"}}, []),
    "blocks as a document": ({"source": {"type": "content", "content": [{"text": "a"}]}}, []),
    "a source that is text": ({"input": {"source": "https://x"}}, []),
}

CASES = [
    pytest.param(dialect, value, found, padding, id=f"{dialect.value}: {name}{', in a long text' if padding else ''}")
    for dialect, table in ((Dialect.OPENAI, OPENAI), (Dialect.ANTHROPIC, ANTHROPIC))
    for name, (value, found) in table.items()
    for padding in ("", "some_text _ an_url _audio " * 2000)
]


@pytest.mark.parametrize(("dialect", "value", "found", "padding"), CASES)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", " : ")])
def test_media_are_found(
    dialect: Dialect, value: Any, found: list[tuple[str, str]], padding: str, separators: tuple[str, str]
) -> None:
    text = json.dumps([{"text": padding}, value, {"text": padding}], separators=separators).encode()
    pieces, media = cut_media(text, dialect)
    assert media == [item(kind, content) for kind, content in found]
    assert pieces[1::2] == [entry.digest for entry in media]
    contents = iter(content.encode() for _, content in found)
    restored = b"".join(next(contents) if index % 2 else piece for index, piece in enumerate(pieces))
    assert restored == text


def test_escaped_slashes_do_not_end_a_content() -> None:
    content = rb"data:image\/png;base64,AA\/A\"A"
    pieces, media = cut_media(b'[{"image_url":{"url":"' + content + b'"}}]', Dialect.OPENAI)
    assert pieces == [b'[{"image_url":{"url":"', xxh3_64_digest(content), b'"}}]']
    assert media == [Media("image", xxh3_64_digest(content), len(content))]


@pytest.mark.parametrize(
    "cut", [b'[{"image_url":{"url":"data:im', b'[{"image_url":"data:im', b'[{"source":{"data":"data:im']
)
def test_of_a_content_that_is_cut_off_there_is_a_digest(cut: bytes) -> None:
    dialect = Dialect.ANTHROPIC if b"source" in cut else Dialect.OPENAI
    assert cut_media(cut, dialect)[0] == [cut.removesuffix(b"data:im"), xxh3_64_digest(b"data:im"), b""]


def test_only_the_first_media_are_cut_out() -> None:
    text = json.dumps([{"image_url": str(n)} for n in range(MAX_MEDIA + 1)]).encode()
    pieces, media = cut_media(text, Dialect.OPENAI)
    assert len(media) == MAX_MEDIA
    assert pieces[-1].endswith(f'"{MAX_MEDIA}"}}]'.encode())


@pytest.mark.parametrize("padding", ["x", "_", "a_u"], ids=["no underscore", "all underscores", "many"])
@pytest.mark.parametrize("shift", range(-3, 14))
def test_a_key_is_found_wherever_a_window_ends(padding: str, shift: int) -> None:
    before = (padding * WINDOW_BYTES)[: WINDOW_BYTES - shift]
    text = f'["{before}",{{"image_url":"u"}},"{"x" * 20}"]'.encode()
    assert cut_media(text, Dialect.OPENAI)[1] == [item("image", "u")]


HOSTILE = {
    "underscores": (Dialect.OPENAI, b"_"),
    "beginnings of names": (Dialect.OPENAI, b"_ur"),
    "beginnings of beginnings": (Dialect.OPENAI, b"_u"),
    "sources that are none": (Dialect.ANTHROPIC, b'"source",'),
}


@pytest.mark.parametrize(("dialect", "filler"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_takes_no_more_memory_than_its_copy(dialect: Dialect, filler: bytes) -> None:
    text = b"[" + filler * (8_000_000 // len(filler)) + b"]"
    tracemalloc.start()
    try:
        cut_media(text, dialect)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(text) + 16 * WINDOW_BYTES


@pytest.mark.parametrize(
    ("dialect", "filler", "part"),
    [
        (Dialect.OPENAI, b"_ur", b'{"image_url":"u"}'),
        (Dialect.ANTHROPIC, b'"source",', b'{"source":{"url":"u"}}'),
    ],
    ids=["openai", "anthropic"],
)
def test_only_so_many_places_are_looked_at(dialect: Dialect, filler: bytes, part: bytes) -> None:
    some, all_ = filler * (MAX_CANDIDATES - 2), filler * MAX_CANDIDATES
    assert cut_media(part + some + part, dialect)[1] == [item("image", "u")] * 2
    assert cut_media(part + all_ + part, dialect)[1] == [item("image", "u")]


@given(value_texts, value_texts, st.booleans(), st.sampled_from(list(Dialect)))
def test_a_long_text_is_searched_like_a_short_one(before: str, after: str, large: bool, dialect: Dialect) -> None:
    part = '{"image_url" : {"url":"https://x"}},{"source":{"data":"AA","media_type":"image/png"}}'
    padding = json.dumps("_url" * 5000 if large else "")
    text = f"[{before},{part},{after},{part},{padding}]".encode()
    _, media = cut_media(text, dialect)
    assert media == [item("image", "https://x" if dialect is Dialect.OPENAI else "AA")] * 2


@given(st.binary(max_size=60), st.sampled_from(list(Dialect)))
def test_any_bytes_are_taken(text: bytes, dialect: Dialect) -> None:
    for start in (b"", b'{"image_url":{', b'{"source":{"data":'):
        pieces, media = cut_media(start + text, dialect)
        assert len(pieces) == 2 * len(media) + 1


def chat(*images: str) -> InferenceRequest:
    parts = [{"type": "text", "text": "compare"}, *({"type": "image_url", "image_url": {"url": u}} for u in images)]
    messages = [{"role": "system", "content": "s" * 300}, {"role": "user", "content": parts}]
    body = json.dumps({"model": "m", "messages": messages}).encode()
    parsed = parse(Headers.of({":path": "/v1/chat/completions"}), body, BodyState.COMPLETE)
    assert isinstance(parsed, InferenceRequest)
    return parsed


def test_requests_with_other_images_differ_from_there_on() -> None:
    one, other = chat(DATA, DATA), chat(DATA, DATA + "A")
    first, second = b"".join(one.prompt), b"".join(other.prompt)
    assert one.media[0] == other.media[0] != other.media[1]
    assert first != second
    common = first.index(one.media[0].digest) + 8
    assert first[:common] == second[:common]


def test_media_count_apart_from_text() -> None:
    parsed = chat(DATA * 1000)
    assert parsed.prompt_bytes == len(b"".join(parsed.prompt)) - 8 < 600
    assert parsed.media[0].size_bytes == len(DATA) * 1000


GENERATE = {
    "before its first placeholder": ({"image": [3]}, [b"[1,2,3", "image", b",9,9,4]"]),
    "in order": ({"image": [4], "audio": [1]}, [b"[1", "audio", b",2,3,9", "image", b",9,4]"]),
    "at the start without a position": ({"image": []}, [b"", "image", b"[1,2,3,9,9,4]"]),
    "at the start at offset 0": ({"image": [0]}, [b"", "image", b"[1,2,3,9,9,4]"]),
    "at the end when it is beyond": ({"image": [99]}, [b"[1,2,3,9,9", "image", b",4]"]),
}


@pytest.mark.parametrize(("offsets", "expected"), GENERATE.values(), ids=GENERATE)
def test_hashes_of_generate_stand_where_the_media_do(
    offsets: dict[str, list[int]], expected: list[bytes | str]
) -> None:
    features = {
        "mm_hashes": {kind: [f"{kind}-hash"] for kind in offsets},
        "mm_placeholders": {kind: [{"offset": n, "length": 2} for n in places] for kind, places in offsets.items()},
        "kwargs_data": None,
    }
    digests = {kind: xxh3_64_digest(f"{kind}-hash".encode()) for kind in offsets}
    parsed = generate(features)
    assert list(parsed.prompt) == [digests[part] if isinstance(part, str) else part for part in expected]
    assert {entry.kind for entry in parsed.media} == set(offsets)
    assert (parsed.prompt_tokens, parsed.prompt_bytes) == (6, 13)


@pytest.mark.parametrize(
    "features", [None, [], {"mm_hashes": {"image": [5]}}, {"mm_hashes": None}, {"kwargs_data": {}}, b"\xff"]
)
def test_features_of_another_shape_are_ignored(features: Any) -> None:
    parsed = generate(features)
    assert (parsed.prompt, parsed.media) == ((b"[1,2,3,9,9,4]",), ())


def test_a_placeholder_is_found_among_many_tokens() -> None:
    count = WINDOW_BYTES
    token_ids = list(range(count))
    features = {
        "mm_hashes": {"image": ["a", "b", "c"]},
        "mm_placeholders": {"image": [{"offset": n} for n in (2, count - 2, count + 5)]},
    }
    body = json.dumps({"token_ids": token_ids, "features": features}).encode()
    parsed = parse(Headers.of({":path": "/inference/v1/generate"}), body, BodyState.COMPLETE)
    assert isinstance(parsed, InferenceRequest)
    assert [len(json.loads(f"[{piece.decode().strip('[, ]')}]")) for piece in parsed.prompt[::2]] == [
        2,
        count - 4,
        1,
        1,
    ]
    assert b"".join(parsed.prompt[::2]) == json.dumps(token_ids).encode()


@pytest.mark.parametrize(
    "features",
    [
        '{"mm_hashes":{"image":[%s"a"]}}' % ('"ab",' * 1_000_000),
        '{"mm_hashes":{"image":["a"]},"mm_placeholders":{"image":[%s{"offset":1}]}}' % ('{"offset":1},' * 400_000),
    ],
    ids=["hashes", "placeholders"],
)
def test_features_of_a_hostile_size_are_not_read(features: str) -> None:
    body = f'{{"token_ids":[1,2,3,9,9,4],"features":{features}}}'.encode()
    headers = Headers.of({":path": "/inference/v1/generate"})
    tracemalloc.start()
    try:
        parsed = parse(headers, body, BodyState.COMPLETE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(parsed, InferenceRequest)
    assert parsed.media == ()
    assert peak < 2 * len(body)


def generate(features: Any) -> InferenceRequest:
    raw = (
        b'{"mm_hashes":{"image":["' + features + b'"]}}'
        if isinstance(features, bytes)
        else json.dumps(features).encode()
    )
    body = b'{"token_ids":[1,2,3,9,9,4],"features":' + raw + b"}"
    parsed = parse(Headers.of({":path": "/inference/v1/generate"}), body, BodyState.COMPLETE)
    assert isinstance(parsed, InferenceRequest)
    return parsed
