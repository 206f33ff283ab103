"""From a parsed call to sequences for the engine, and to the texts that they will produce. No IO, no clock."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType

import msgspec
import numpy as np

from epp.simulator.calls import Api, EmbeddingsCall, GenerateCall, TokenizeCall
from epp.simulator.errors import bad_request
from epp.simulator.messages import messages_reply, messages_stream
from epp.simulator.models import Model, ModelRegistry
from epp.simulator.replies import (
    Choice,
    ReplyHead,
    ReplyStream,
    chat_reply,
    chat_stream,
    completion_reply,
    completion_stream,
)
from epp.simulator.scheduler import EngineSettings
from epp.simulator.sequences import Finish, RequestId, SimRequest
from epp.simulator.tokens import (
    Tokens,
    block_hashes,
    count_tokens,
    filler_text,
    join_tokens,
    seed_of,
    token_ids,
    token_texts,
)

__all__ = ["Embeddings", "Frontend", "Generation"]

EMBEDDING_SIZE = 16
"""Numbers in a vector: few, because nobody compares them."""

MAX_CALL_TOKENS = 4_000_000
"""Tokens of all sequences of one call together: about 16 MB of text."""


@dataclass(frozen=True, slots=True)
class _Form:
    """How an API names and writes its replies."""

    id_prefix: str
    whole: Callable[[ReplyHead, Sequence[Choice], Sequence[int]], bytes]
    stream: Callable[[ReplyHead, Sequence[Choice]], ReplyStream]


_FORMS: Mapping[Api, _Form] = MappingProxyType(
    {
        Api.CHAT: _Form("chatcmpl", chat_reply, chat_stream),
        Api.COMPLETIONS: _Form("cmpl", completion_reply, completion_stream),
        Api.MESSAGES: _Form("chatcmpl", messages_reply, messages_stream),
    }
)


@dataclass(frozen=True, slots=True)
class Generation:
    """A call for text, ready to run. `requests` and `choices` are in the same order."""

    requests: tuple[SimRequest, ...]
    choices: tuple[Choice, ...]
    head: ReplyHead
    api: Api

    def reply(self, cached_tokens: Sequence[int]) -> bytes:
        """The whole reply; `cached_tokens` are those of each choice."""
        return _FORMS[self.api].whole(self.head, self.choices, cached_tokens)

    def stream(self) -> ReplyStream:
        """A writer for the reply as a stream."""
        return _FORMS[self.api].stream(self.head, self.choices)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A call for vectors, ready to run."""

    requests: tuple[SimRequest, ...]
    body: bytes
    """The reply: it does not depend on the engine."""


class Frontend:
    """What of a server stands before its engine. Equal seeds and prompts give equal answers, on any server."""

    def __init__(
        self,
        registry: ModelRegistry,
        settings: EngineSettings,
        *,
        seed: int,
        mean_output_tokens: int,
        reports_cached_tokens: bool = True,
    ) -> None:
        self.registry = registry
        self._settings = settings
        self._seed = seed
        self._mean_output_tokens = mean_output_tokens
        self._reports_cached_tokens = reports_cached_tokens
        self._request_ids = count()

    def generation(self, call: GenerateCall, reply_id: str, created: int) -> Generation:
        """Sequences and reply of a call. Raises ApiError."""
        model = self.registry.resolve(call.model)
        self._check_size(call)
        choices: list[Choice] = []
        requests: list[SimRequest] = []
        for prompt_index, prompt in enumerate(call.prompts):
            for _ in range(call.n):
                choice = self._choice(call, model, prompt, len(choices), prompt_index)
                choices.append(choice)
                requests.append(self._request(model, call.cache_salt, prompt, choice.text, choice.finish))
        head = ReplyHead(
            id=f"{_FORMS[call.api].id_prefix}-{reply_id}",
            model=model.name,
            created=created,
            block_size=self._settings.block_size,
            include_usage=call.include_usage,
            continuous_usage=call.continuous_usage,
            reports_cached_tokens=self._reports_cached_tokens,
        )
        return Generation(tuple(requests), tuple(choices), head, call.api)

    def embeddings(self, call: EmbeddingsCall, reply_id: str, created: int) -> Embeddings:
        """Sequences and reply of a call. Raises ApiError."""
        model = self.registry.resolve(call.model)
        for tokens in call.inputs:
            self._check_length(count_tokens(tokens), 0)
        requests = [self._request(model, "", tokens, Tokens(b""), Finish.STOP) for tokens in call.inputs]
        data = [
            {"index": index, "object": "embedding", "embedding": self._vector(model, tokens, as_base64=call.base64)}
            for index, tokens in enumerate(call.inputs)
        ]
        total = sum(map(count_tokens, call.inputs))
        usage = {"prompt_tokens": total, "total_tokens": total, "completion_tokens": 0, "prompt_tokens_details": None}
        head = {"id": f"embd-{reply_id}", "object": "list", "created": created, "model": model.name}
        return Embeddings(tuple(requests), msgspec.json.encode({**head, "data": data, "usage": usage}))

    def tokenized(self, call: TokenizeCall) -> bytes:
        """Reply of `/tokenize`. Raises ApiError."""
        self.registry.resolve(call.model)
        self._check_length(count_tokens(call.tokens), 0)
        return msgspec.json.encode(
            {
                "count": count_tokens(call.tokens),
                "max_model_len": self._settings.max_model_len,
                "tokens": token_ids(call.tokens),
                "token_strs": token_texts(call.tokens) if call.texts else None,
            }
        )

    def _choice(self, call: GenerateCall, model: Model, prompt: Tokens, index: int, prompt_index: int) -> Choice:
        prompt_tokens = count_tokens(prompt)
        seed = seed_of((model.name, prompt, str(index)), self._seed)
        wanted = call.max_tokens
        finish = Finish.LENGTH
        if wanted is None:
            room = max(1, self._settings.max_model_len - prompt_tokens)
            natural = 1 + seed % (2 * self._mean_output_tokens - 1)
            wanted, finish = min(natural, room), Finish.STOP if natural <= room else Finish.LENGTH
        self._check_length(prompt_tokens, wanted)
        return Choice(index, prompt_index, prompt_tokens, filler_text(wanted, seed), finish)

    def _check_size(self, call: GenerateCall) -> None:
        """One small body must not ask for gigabytes of text."""
        output = min(call.max_tokens or 2 * self._mean_output_tokens, self._settings.max_model_len)
        total = call.n * (sum(map(count_tokens, call.prompts)) + output * len(call.prompts))
        if total > max(MAX_CALL_TOKENS, self._settings.max_model_len) and call.n * len(call.prompts) > 1:
            sequences = call.n * len(call.prompts)
            raise bad_request(
                f"{sequences} sequences with {total} tokens in all; at most {MAX_CALL_TOKENS} are allowed in one call.",
                "n",
                call.n,
            )

    def _check_length(self, prompt_tokens: int, output_tokens: int) -> None:
        """The first two texts are those of vLLM 0.32; the third was not captured."""
        limit = self._settings.max_model_len
        if output_tokens > limit:
            message = f"max_tokens={output_tokens} cannot be greater than max_model_len={limit}."
            raise bad_request(f"{message} Please request fewer output tokens.", "max_tokens", output_tokens)
        context = f"This model's maximum context length is {limit} tokens."
        if prompt_tokens > limit:
            message = (
                f"{context} However, your prompt contains at least {prompt_tokens} input tokens, which exceeds this "
                "limit even without any output tokens. Please reduce the length of the input prompt."
            )
            raise bad_request(message, "input_tokens", prompt_tokens)
        if prompt_tokens + output_tokens > limit:
            message = (
                f"{context} However, you requested {output_tokens} output tokens and your prompt contains at least "
                f"{prompt_tokens} input tokens, for a total of at least {prompt_tokens + output_tokens} tokens. "
                "Please reduce the length of the input prompt or the number of requested output tokens."
            )
            raise bad_request(message, "input_tokens", prompt_tokens)

    def _request(self, model: Model, salt: str, prompt: Tokens, output: Tokens, finish: Finish) -> SimRequest:
        adapter = (model.name, model.root) if model.adapter else ()
        return SimRequest(
            id=RequestId(next(self._request_ids)),
            prompt_tokens=count_tokens(prompt),
            output_tokens=count_tokens(output),
            block_hashes=block_hashes(
                join_tokens((prompt, output)), self._settings.block_size, seed_of((salt, *adapter))
            ),
            adapter=model.adapter,
            finish=finish,
        )

    def _vector(self, model: Model, tokens: Tokens, *, as_base64: bool) -> list[float] | str:
        generator = np.random.Generator(np.random.PCG64(seed_of((model.name, tokens), self._seed)))
        vector = generator.standard_normal(EMBEDDING_SIZE)
        vector = (vector / np.linalg.norm(vector)).astype("<f4")
        if as_base64:
            return base64.b64encode(vector.tobytes()).decode()
        numbers: list[float] = vector.tolist()
        return numbers
