"""Replies of a real vLLM 0.32, and what must be made equal before ours can be compared with them."""

import json
import re
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent.parent / "data" / "simulator"


def capture(name: str) -> str:
    """A captured reply."""
    return (DATA / name).read_text()


def shape(text: str) -> str:
    """A reply without what differs from run to run: ids, times, models, texts and the build."""
    text = re.sub(r'"id":"[^"]*"', '"id":""', text)
    text = re.sub(r'"created":\d+', '"created":0', text)
    text = re.sub(r'"system_fingerprint":"[^"]*"', '"system_fingerprint":""', text)
    return re.sub(r'"(model|text|content)":"(?:[^"\\]|\\.)*"', r'"\1":""', text)


def events(stream: str) -> list[Any]:
    """JSON of the events of a stream, but `[DONE]`."""
    lines = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]
