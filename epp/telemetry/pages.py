"""Reads the few things that matter from a model server's metrics page.

A page of vLLM has 78 KB and 800 lines, of which ten are of use, and there is one per endpoint and second. So nothing is
parsed but the lines that are asked for, found by searching the bytes for a line end and the name. That rests on two
rules of the format: a family's lines follow one another, and a line end within a label value is escaped.

Pages come from other machines: whatever they hold, reading ends in bounded time and does not raise, and what makes no
sense (not a number, negative, infinite) counts as not said.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from math import isfinite

from epp.endpoints.types import Scrape
from epp.telemetry.engines import CacheInfo, LoraInfo, MetricNames, Series

__all__ = ["parse_page"]

MAX_SERIES = 1024
"""Series of one family that are read: a server has some per engine and model."""

MAX_LINE_BYTES = 16_384
"""vLLM's longest, cache_config_info, has 1.2 KB."""

MAX_LABELS = 128
"""vLLM's cache_config_info has 40."""

LONG_LINE_BYTES = 256
"""Where finding the last brace becomes cheaper than walking over the labels."""

MAX_ADAPTERS = 1024
MAX_ADAPTER_NAME = 512
MAX_VALUE = 1e15
"""Beyond this a number of requests, blocks or tokens, or a time, is none."""

_SAMPLE = re.compile(rb'(?:\{((?:[^"}]++|"(?:[^"\\]++|\\.)*+")*+)\})?[ \t]*+([^\s#]++)')
"""Labels and value after the name, whatever follows. Possessive, so that it cannot backtrack."""

_LABEL = re.compile(rb'([a-zA-Z_][a-zA-Z0-9_]*+)="((?:[^"\\]++|\\.)*+)"')
_ESCAPED = re.compile(r"\\(.)")
_AFTER_NAME = (b"{", b" ", b"\t")

Samples = list[tuple[bytes, bytes]]
"""Labels and value of each sample, as they stand on the page."""


def parse_page(page: bytes, names: MetricNames) -> Scrape:
    """What a page in Prometheus text or OpenMetrics format says. Never raises.

    Cost: 0.3 ns per byte of the page for each name that is missing, and about 60 us for what is there.
    """
    reader = _Page(page)
    # In the order in which servers write them: each search goes on where the last one ended.
    start_time = max(reader.values(names.start_time), default=None)
    running = reader.sum(names.running)
    waiting = reader.sum(names.waiting)
    asleep = 0.0 in reader.values(names.awake)
    usage = reader.matching(names.kv_usage)
    processed = [total for series in names.processed_tokens if (total := reader.sum(series)) is not None]
    max_loras, adapters = _lora(reader, names.lora_info)
    capacity = _Capacity(reader, names)
    return Scrape(
        running=running,
        waiting=waiting,
        kv_usage=_usage(usage, capacity),
        block_size=capacity.block_size,
        capacity_tokens=capacity.tokens,
        max_loras=max_loras,
        adapters=adapters,
        asleep=asleep,
        start_time=start_time,
        processed_tokens=sum(processed) if processed else None,
    )


class _Page:
    """Finds samples on a page."""

    __slots__ = ("_at", "_page")

    def __init__(self, page: bytes) -> None:
        self._page = page
        self._at = 0  # where the last family was found: the next is likely to follow

    def sum(self, series: Series | None) -> float | None:
        """Sum over engines and models; None when there is no sample."""
        values = self.values(series)
        return sum(values) if values else None

    def values(self, series: Series | None) -> list[float]:
        """Values of a series' samples, those left out that make no sense."""
        numbers = [_number(value) for _, value in self.matching(series)]
        return [number for number in numbers if number is not None]

    def matching(self, series: Series | None) -> Samples:
        """Samples of a family whose labels have the values that the series asks for."""
        if series is None:
            return []
        samples = self.samples(series.name, MAX_SERIES)
        for label, value in series.labels:
            written = f'{label}="{_escaped(value)}"'.encode()
            samples = [sample for sample in samples if _has_label(sample[0], written)]
        return samples

    def samples(self, name: str, limit: int) -> Samples:
        """The first samples of a family."""
        page, key = self._page, name.encode()
        found: Samples = []
        start = self._first(key)
        while start >= 0 and len(found) < limit and _begins(page, key, start):
            end = page.find(b"\n", start)
            stop = end if end >= 0 else len(page)
            if stop - start <= MAX_LINE_BYTES and (sample := _sample(page, start + len(key), stop)):
                found.append(sample)
            start = end + 1 or -1
        return found

    def largest(self, name: str) -> bytes | None:
        """Labels of the sample with the largest value; None when there is none. Takes 0.3 us for each sample."""
        key = name.encode()
        start = self._first(key)
        if start < 0:
            return None
        end = _lines_of(key).match(self._page, start).end()  # type: ignore[union-attr]  # it matches the first line
        newest, newest_at = None, -1.0
        for labels, value in _gauges_of(key).findall(self._page, start, end):
            at = _number(value)
            if at is not None and at > newest_at:
                newest, newest_at = labels, at
        return newest

    def _first(self, key: bytes) -> int:
        """Where the first line begins that has the key for its name; -1 if none."""
        page, line = self._page, b"\n" + key
        if _begins(page, key, 0):
            return 0
        for begin, end in ((self._at, len(page)), (0, min(self._at + len(line), len(page)))):
            at = page.find(line, begin, end)
            for _ in range(MAX_SERIES):  # the key may also begin other names
                if at < 0:
                    break
                if _begins(page, key, at + 1):
                    self._at = at
                    return at + 1
                at = page.find(line, at + len(line), end)
        return -1


class _Capacity:
    """The KV cache of the engines behind the page."""

    __slots__ = ("block_size", "engine", "tokens", "tokens_of")

    def __init__(self, reader: _Page, names: MetricNames) -> None:
        self.block_size: int | None = None
        self.tokens: int | None = None
        self.engine = names.cache_info.engine if names.cache_info else ""
        self.tokens_of: dict[bytes, int] = {}
        """By engine."""
        if names.cache_info:
            self._read_info(reader, names.cache_info)
        else:
            self._read_gauges(reader, names)

    def _read_info(self, reader: _Page, info: CacheInfo) -> None:
        products = []
        for text, _ in reader.matching(info.series):
            size, blocks = _whole(_label(text, info.block_size)), _whole(_label(text, info.blocks))
            self.block_size = self.block_size or size
            if size and blocks:
                products.append(size * blocks)
            if tokens := _whole(_label(text, info.tokens)):
                engine = _label(text, self.engine)
                self.tokens_of[engine] = self.tokens_of.get(engine, 0) + tokens
        if self.tokens_of:
            self.tokens = sum(self.tokens_of.values())
        elif products:
            self.tokens = max(products) if info.blocks_are_total else sum(products)

    def _read_gauges(self, reader: _Page, names: MetricNames) -> None:
        size, blocks = max(reader.values(names.block_size), default=0.0), reader.sum(names.blocks) or 0.0
        self.block_size = int(size) or None
        self.tokens = int(size * blocks) or None


def _usage(samples: Samples, capacity: _Capacity) -> float | None:
    """Mean over the engines' shares, weighted by their capacities when those are known of all."""
    shares = []
    weights = []
    for text, value in samples:
        share = _number(value)
        if share is not None:
            shares.append(min(share, 1.0))
            if len(capacity.tokens_of) > 1:
                weights.append(capacity.tokens_of.get(_label(text, capacity.engine), 0))
    if not shares:
        return None
    if not weights or not all(weights):
        return sum(shares) / len(shares)
    return sum(share * weight for share, weight in zip(shares, weights, strict=True)) / sum(weights)


def _lora(reader: _Page, info: LoraInfo | None) -> tuple[int | None, frozenset[str] | None]:
    """Slots for adapters, and the adapters of running requests, both from the label set with the largest value.

    vLLM never forgets a label set, and its value is the time of the last update, so the largest is current (the sum of
    such times, where several API servers share a page). Its waiting adapters are not read: vLLM writes the running ones
    there, and an adapter that really waits is in neither list (0.32, 0.33).
    """
    if info is None:
        return None, None
    newest = reader.largest(info.series.name)
    if newest is None:
        return None, None
    listed = _text(_label(newest, info.running)).split(",", MAX_ADAPTERS)[:MAX_ADAPTERS]
    adapters = (name.strip() for name in listed)
    return _whole(_label(newest, info.limit)), frozenset(name for name in adapters if 0 < len(name) <= MAX_ADAPTER_NAME)


@lru_cache(64)
def _lines_of(key: bytes) -> re.Pattern[bytes]:
    """Lines of a family that follow one another."""
    return re.compile(rb"(?:%b[{ \t][^\n]*+(?:\n|\Z))++" % re.escape(key))


@lru_cache(64)
def _gauges_of(key: bytes) -> re.Pattern[bytes]:
    """Labels and value of a gauge's lines. Gauges have no exemplars, so the last brace closes the labels."""
    return re.compile(rb"^%b\{([^\n]*)\}[ \t]++([^\s#]++)" % re.escape(key), re.MULTILINE)


def _begins(page: bytes, key: bytes, start: int) -> bool:
    """Whether the line at `start` has the key for its name, and not for its beginning."""
    return page.startswith(key, start) and page[start + len(key) : start + len(key) + 1] in _AFTER_NAME


def _sample(page: bytes, start: int, stop: int) -> tuple[bytes, bytes] | None:
    """Labels and value of the line whose name ends at `start`."""
    if stop - start < LONG_LINE_BYTES or b"#" in page[start:stop]:
        match = _SAMPLE.match(page, start, stop)
        return (match[1] or b"", match[2]) if match else None
    # Without an exemplar, which `#` would begin, the last brace closes the labels: no need to walk over all of them.
    close = page.rfind(b"}", start, stop)
    value = page[close + 1 : stop].split(None, 1)
    return (page[start + 1 : close], value[0]) if close > start and value else None


def _has_label(labels: bytes, written: bytes) -> bool:
    """Whether a label stands there with its value. A quote within a value is escaped, so nothing else looks like it."""
    return labels.startswith(written) or b"," + written in labels or b", " + written in labels


def _label(labels: bytes, name: str) -> bytes:
    """A label's value, still escaped; empty when it is not there. Taking 40 labels apart would be half of all work."""
    key = name.encode() + b'="'
    start = 0 if labels.startswith(key) else labels.find(b'",' + key) + 2
    if b"\\" in labels or (start == 1 and b'", ' in labels):
        found = islice(_LABEL.finditer(labels), MAX_LABELS)
        return next((match[2] for match in found if match[1] == name.encode()), b"")
    if start == 1:
        return b""
    start += len(key)
    return labels[start : labels.find(b'"', start)]


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _text(value: bytes) -> str:
    """A label's value as it was meant: in both formats backslash, quote and line end are escaped."""
    text = value.decode("utf-8", "replace")
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda match: "\n" if match[1] == "n" else match[1], text)


def _number(text: bytes) -> float | None:
    """A sample's value, when it can be a count, a share or a time."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and 0.0 <= value <= MAX_VALUE else None


def _whole(text: bytes) -> int | None:
    """A label's whole number, at least 1. vLLM writes Python's `None` where it has none."""
    return (int(text) or None) if text.isdigit() and len(text) <= 15 else None
