"""A prompt is what the model sees, and the table of its fields names every operation."""

import json
from typing import Any

import pytest

from epp.exchange import BodyState, Headers
from epp.requests import InferenceRequest, Operation, parse
from epp.requests.fields import Fields
from epp.requests.prompt import MAX_BILLING_BLOCKS, Prompt, prompt_of
from epp.requests.types import Dialect


@pytest.mark.parametrize("operation", Operation)
def test_every_operation_has_a_prompt_even_if_it_is_empty(operation: Operation) -> None:
    assert prompt_of(operation, Dialect.OPENAI, Fields()) == Prompt()


BILLING = "x-anthropic-billing-header: cc_version=2.1; cch=%s;"

SYSTEMS = {
    "a block of its own is dropped": ([{"type": "text", "text": BILLING}, {"type": "text", "text": "You"}], True),
    "also among escapes": ([{"type": "text", "text": BILLING + ' "q" \\ '}], True),
    "text is kept": (BILLING, False),
    "text about it is kept": ([{"type": "text", "text": f'say "{BILLING}'}], False),
}


@pytest.mark.parametrize(("system", "same"), SYSTEMS.values(), ids=SYSTEMS)
def test_what_changes_with_every_request_of_claude_code_is_left_out_as_vllm_does(system: Any, same: bool) -> None:
    first, second = (prompt_with(json.dumps(system).replace("%s", salt)) for salt in ("1a2b", "3c4d"))
    assert (first == second) is same


def test_only_the_first_of_such_blocks_are_left_out() -> None:
    blocks = [{"type": "text", "text": f"{BILLING} {n}"} for n in range(MAX_BILLING_BLOCKS + 1)]
    prompt = b"".join(prompt_with(json.dumps(blocks)))
    assert prompt.count(BILLING.encode()) == 1
    assert f"{BILLING} {MAX_BILLING_BLOCKS}".encode() in prompt


def prompt_with(system: str) -> tuple[bytes, ...]:
    body = f'{{"model":"m","system":{system},"messages":[]}}'.encode()
    parsed = parse(Headers.of({":path": "/v1/messages"}), body, BodyState.COMPLETE)
    assert isinstance(parsed, InferenceRequest)
    return parsed.prompt
