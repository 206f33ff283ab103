import base64
import json
import struct
from dataclasses import replace

import pytest

from epp.simulator import EngineSettings
from epp.simulator.calls import AdapterCall, Api, EmbeddingsCall, GenerateCall, TokenizeCall
from epp.simulator.errors import ApiError
from epp.simulator.frontend import EMBEDDING_SIZE, Frontend, Generation
from epp.simulator.models import ModelRegistry
from epp.simulator.sequences import Finish, SimRequest
from epp.simulator.tokens import Tokens, tokens_of_text
from tests.simulator.captures import capture

SETTINGS = EngineSettings(block_size=4, num_gpu_blocks=300, max_model_len=1024, max_loras=2)
CALL = GenerateCall(Api.COMPLETIONS, None, (tokens_of_text("What is the answer to all of it?"),), max_tokens=20)
PROMPT_TOKENS = 8


def frontend(seed: int = 0) -> Frontend:
    return Frontend(ModelRegistry("base", ["a", "b"]), SETTINGS, seed=seed, mean_output_tokens=10)


def generation(call: GenerateCall = CALL, seed: int = 0) -> Generation:
    return frontend(seed).generation(call, "id", 7)


def only(call: GenerateCall = CALL) -> SimRequest:
    (request,) = generation(call).requests
    return request


def prompt_of(tokens: int) -> tuple[Tokens, ...]:
    return (tokens_of_text("abcd" * tokens),)


def test_a_call_becomes_a_sequence() -> None:
    request = only()
    assert (request.prompt_tokens, request.output_tokens, request.adapter) == (PROMPT_TOKENS, 20, "")
    assert len(request.block_hashes) == 28 // 4
    assert request.finish is Finish.LENGTH


def test_equal_calls_have_equal_texts_on_every_server() -> None:
    assert generation().choices == generation().choices
    assert generation().choices != generation(seed=1).choices


HASHES_DIFFER_WITH = {
    "the adapter": replace(CALL, model="a"),
    "the cache salt": replace(CALL, cache_salt="s"),
    "the prompt": replace(CALL, prompts=prompt_of(8)),
}


@pytest.mark.parametrize("call", HASHES_DIFFER_WITH.values(), ids=HASHES_DIFFER_WITH)
def test_no_block_is_shared_across(call: GenerateCall) -> None:
    assert not set(only(call).block_hashes) & set(only().block_hashes)


def test_an_adapter_that_was_loaded_from_elsewhere_shares_nothing_with_its_namesake() -> None:
    front = frontend()
    before = front.generation(replace(CALL, model="a"), "id", 7).requests[0]
    front.registry.load(AdapterCall("a", "/elsewhere", in_place=True))
    after = front.generation(replace(CALL, model="a"), "id", 7).requests[0]
    assert (before.adapter, after.adapter) == ("a", "a")
    assert before.block_hashes[0] != after.block_hashes[0]


def test_without_a_limit_the_model_stops_by_itself() -> None:
    lengths = []
    for number in range(300):
        call = replace(CALL, prompts=(tokens_of_text(f"question {number}"),), max_tokens=None)
        (choice,) = generation(call).choices
        assert choice.finish is Finish.STOP
        lengths.append(choice.tokens)
    assert min(lengths) == 1
    assert max(lengths) == 19
    assert sum(lengths) / len(lengths) == pytest.approx(10, abs=1)


def test_without_a_limit_the_context_ends_the_answer() -> None:
    (choice,) = generation(replace(CALL, prompts=prompt_of(1023), max_tokens=None)).choices
    assert choice.tokens == 1


def test_prompts_and_n_make_sequences() -> None:
    made = generation(replace(CALL, prompts=(*prompt_of(8), *prompt_of(9)), n=2))
    assert [(choice.index, choice.prompt_index, choice.prompt_tokens) for choice in made.choices] == [
        (0, 0, 8),
        (1, 0, 8),
        (2, 1, 9),
        (3, 1, 9),
    ]
    assert len({request.id for request in made.requests}) == 4
    assert made.choices[0].text != made.choices[1].text


TOO_LONG = {  # call: message of vLLM
    "the prompt alone": (
        replace(CALL, prompts=prompt_of(1025)),
        "This model's maximum context length is 1024 tokens. However, your prompt contains at least 1025 input tokens, "
        "which exceeds this limit even without any output tokens. Please reduce the length of the input prompt. "
        "(parameter=input_tokens, value=1025)",
    ),
    "the output alone": (
        replace(CALL, max_tokens=5000),
        "max_tokens=5000 cannot be greater than max_model_len=1024. Please request fewer output tokens. "
        "(parameter=max_tokens, value=5000)",
    ),
    "both together": (replace(CALL, max_tokens=1020), "for a total of at least 1028 tokens"),
    "no room for one token": (replace(CALL, prompts=prompt_of(1024), max_tokens=None), "at least 1025 tokens"),
}


@pytest.mark.parametrize(("call", "message"), TOO_LONG.values(), ids=TOO_LONG)
def test_what_is_too_long_is_refused(call: GenerateCall, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        Frontend(ModelRegistry("base"), SETTINGS, seed=0, mean_output_tokens=10).generation(call, "id", 7)
    assert (caught.value.status, caught.value.kind) == (400, "BadRequestError")
    assert message in caught.value.message


def test_one_call_cannot_ask_for_gigabytes() -> None:
    front = Frontend(ModelRegistry("base"), EngineSettings(), seed=0, mean_output_tokens=10)
    with pytest.raises(ApiError, match="1024 sequences with 102408192 tokens in all"):
        front.generation(replace(CALL, n=1024, max_tokens=100_000), "id", 7)
    assert front.generation(replace(CALL, n=2, max_tokens=100_000), "id", 7)


def test_replies_are_named_after_their_api() -> None:
    for api, prefix in ((Api.CHAT, "chatcmpl-id"), (Api.COMPLETIONS, "cmpl-id"), (Api.MESSAGES, "chatcmpl-id")):
        made = generation(replace(CALL, api=api))
        assert json.loads(made.reply([0]))["id"] == prefix
        assert prefix.encode() in made.stream().tokens(made.choices[0], 0, 1)


def test_the_model_is_named_as_it_was_asked_for() -> None:
    assert generation(replace(CALL, model="a")).head.model == "a"
    assert generation().head.model == "base"


def test_vectors_depend_on_the_text_and_have_length_one() -> None:
    call = EmbeddingsCall(None, (tokens_of_text("cat"), tokens_of_text("dog"), tokens_of_text("cat")), base64=False)
    made = frontend().embeddings(call, "id", 7)
    vectors = [item["embedding"] for item in json.loads(made.body)["data"]]
    assert vectors[0] == vectors[2] != vectors[1]
    assert len(vectors[0]) == EMBEDDING_SIZE
    assert sum(number**2 for number in vectors[0]) == pytest.approx(1)
    assert [request.output_tokens for request in made.requests] == [0, 0, 0]
    packed = json.loads(frontend().embeddings(replace(call, base64=True), "id", 7).body)["data"][1]["embedding"]
    assert list(struct.unpack(f"<{EMBEDDING_SIZE}f", base64.b64decode(packed))) == pytest.approx(vectors[1])


def test_tokens_are_told_in_vllms_form() -> None:
    reply = json.loads(frontend().tokenized(TokenizeCall(None, tokens_of_text("hello world"), texts=True)))
    assert reply.keys() == json.loads(capture("tokenize.json")).keys()
    assert (reply["count"], len(reply["tokens"]), reply["token_strs"]) == (3, 3, ["hell", "o wo", "rld"])
    with pytest.raises(ApiError, match="maximum context length"):
        frontend().tokenized(TokenizeCall(None, prompt_of(1025)[0], texts=False))
