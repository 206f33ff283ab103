"""Plays a protocol transcript and writes down what happened, in the same words.

A line begins with who speaks:

    > the proxy sends       > headers duplex/duplex | > body 12 eos | > trailers | > reply-headers 200 | > reply-body 5
                            > reply-trailers | > reply-event data | > half-close | > reset | > unknown
    = the router decides    = pick 10.0.0.7:8000 | = reject 503 rejected-no-endpoints | = reply x-a=1
    ! an event went to the router, . the exchange ended, < we wrote, x we called it the proxy's fault

Modes are `request/reply` body modes as `protocol_config` declares them; a proxy need not declare any. `in-value` sends
headers as NGINX Gateway Fabric does, `attributes` adds a field that we do not read. Body bytes are made up; that those
written are those sent is checked beside the transcript.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Protocol

from epp.exchange import (
    BodyState,
    EndCause,
    Pick,
    Rejection,
    ReplyEnd,
    ReplyFirstData,
    ReplyHeaders,
    ReplyView,
    RequestReady,
)
from epp.extproc import wire_pb2 as wire
from epp.extproc.budget import BodyBudget
from epp.extproc.exchange import Exchange, ExchangeSettings, ProxyProtocolError
from epp.protocol import DESTINATION

MODES = {
    "duplex": wire.FULL_DUPLEX_STREAMED,
    "buffered": wire.BUFFERED,
    "partial": wire.BUFFERED_PARTIAL,
    "streamed": wire.STREAMED,
    "none": wire.NONE,
    "grpc": wire.GRPC,
}
EVENTS = {"data": b"data: {}\n\n", "comment": b": ping\n\n", "half": b"dat", "rest": b"a: {}\n\n"}
PATTERN = bytes(range(256)) * 4


def made_up(size: int, start: int = 0) -> bytes:
    """Body bytes that show where they belong."""
    offset = start % 256
    repeated = PATTERN * (size // len(PATTERN) + 2)
    return repeated[offset : offset + size]


@dataclass
class Proxy:
    """Turns `>` lines into messages, and remembers what it sent and got."""

    sent: bytearray = field(default_factory=bytearray)
    reply_sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)
    reply_received: bytearray = field(default_factory=bytearray)

    def message(self, words: list[str]) -> wire.ProcessingRequest:
        message = wire.ProcessingRequest()
        kind, rest = words[0], words[1:]
        options = dict(word.split("=", 1) for word in rest if "=" in word)
        eos = "eos" in rest
        declare(message, rest)
        plain = [word for word in rest if "=" not in word and word != "eos"]
        if "attributes" in rest:
            message.MergeFromString(b"\x4a\x03\x0a\x01x")
        getattr(self, "_" + kind.replace("-", "_"))(message, plain, options, eos)
        for key, value in options.items():
            if key == "subset":
                set_metadata(message, "envoy.lb.subset_hint", "x-gateway-destination-endpoint-subset", value.split(";"))
            if key == "served":
                set_metadata(message, "envoy.lb", "x-gateway-destination-endpoint-served", value)
        if "observe" in rest:
            message.observability_mode = True
        return message

    def _headers(self, message: wire.ProcessingRequest, rest: list[str], options: dict[str, str], eos: bool) -> None:
        fields = {":method": "POST", ":path": "/v1/completions"} | {k: v for k, v in options.items() if k != "subset"}
        for name, value in fields.items():
            header = message.request_headers.headers.headers.add()
            header.key = name.encode()
            setattr(header, "value" if "in-value" in rest else "raw_value", value.encode())
        message.request_headers.end_of_stream = eos

    def _body(self, message: wire.ProcessingRequest, rest: list[str], _: dict[str, str], eos: bool) -> None:
        data = made_up(int(rest[0]), len(self.sent))
        self.sent += data
        message.request_body.body = data
        message.request_body.end_of_stream = eos

    def _again(self, message: wire.ProcessingRequest, rest: list[str], _: dict[str, str], eos: bool) -> None:
        """A chunk that was sent before."""
        message.request_body.body = made_up(int(rest[0]))
        message.request_body.end_of_stream = eos

    def _trailers(self, message: wire.ProcessingRequest, *_: object) -> None:
        message.request_trailers.SetInParent()

    def _reply_headers(
        self, message: wire.ProcessingRequest, rest: list[str], options: dict[str, str], eos: bool
    ) -> None:
        message.response_headers.SetInParent()
        fields = {":status": rest[0]} | {k: v for k, v in options.items() if k != "served"}
        for name, value in fields.items():
            header = message.response_headers.headers.headers.add()
            header.key, header.raw_value = name.encode(), value.encode()
        message.response_headers.end_of_stream = eos

    def _reply_body(self, message: wire.ProcessingRequest, rest: list[str], _: dict[str, str], eos: bool) -> None:
        data = made_up(int(rest[0]), len(self.reply_sent))
        self.reply_sent += data
        message.response_body.body = data
        message.response_body.end_of_stream = eos

    def _reply_event(self, message: wire.ProcessingRequest, rest: list[str], _: dict[str, str], eos: bool) -> None:
        """What a model server streams: an event, a comment that keeps alive, half of an event, or its rest."""
        data = EVENTS[rest[0]]
        self.reply_sent += data
        message.response_body.body = data
        message.response_body.end_of_stream = eos

    def _reply_trailers(self, message: wire.ProcessingRequest, *_: object) -> None:
        message.response_trailers.SetInParent()

    def _unknown(self, message: wire.ProcessingRequest, *_: object) -> None:
        message.MergeFromString(b"\xfa\x01\x03abc")  # field 31, of a later version

    def got(self, response: wire.ProcessingResponse) -> None:
        self.received += response.request_body.response.body_mutation.streamed_response.body
        self.reply_received += response.response_body.response.body_mutation.streamed_response.body


def declare(message: wire.ProcessingRequest, rest: list[str]) -> None:
    modes = next((word for word in rest if "/" in word and "=" not in word), None)
    if modes:
        request, reply = modes.split("/")
        message.protocol_config.request_body_mode = MODES[request]
        message.protocol_config.response_body_mode = MODES[reply]


def set_metadata(message: wire.ProcessingRequest, namespace: str, key: str, value: str | list[str]) -> None:
    metadata = wire.Metadata.FromString(message.metadata_context)
    if isinstance(value, list):
        entry = metadata.filter_metadata[namespace].fields[key].list_value
        for one in filter(None, value):
            entry.values.add().string_value = one
        entry.SetInParent()
    else:
        metadata.filter_metadata[namespace].fields[key].string_value = value
    message.metadata_context = metadata.SerializeToString()


def describe(response: wire.ProcessingResponse) -> str:
    """What we wrote, in one line."""
    kind = response.WhichOneof("response")
    if kind == "immediate_response":
        return f"immediate {response.immediate_response.status.code}" + _mutation(response.immediate_response.headers)
    name = kind.replace("request_", "").replace("response_", "reply-")
    target = getattr(response, kind)
    words = [name]
    if kind.endswith("body"):
        mutation = target.response.body_mutation
        match mutation.WhichOneof("mutation"):
            case "streamed_response":
                words.append(f"{len(mutation.streamed_response.body)} B")
                words += ["eos"] if mutation.streamed_response.end_of_stream else []
            case "body":
                words.append(f"replaced by {len(mutation.body)} B")
            case "clear_body":
                words.append("cleared")
    common = target.header_mutation if kind.endswith("trailers") else target.response.header_mutation
    line = " ".join(words) + _mutation(common)
    if response.HasField("dynamic_metadata"):
        fields = response.dynamic_metadata.fields["envoy.lb"].struct_value.fields
        line += f" metadata={fields[DESTINATION].string_value}"
    return line


def _mutation(mutation: wire.HeaderMutation) -> str:
    words = []
    for option in mutation.set_headers:
        if option.header.key in (b"content-type", b"retry-after"):
            continue
        name = "dest" if option.header.key == DESTINATION.encode() else option.header.key.decode()
        assert not option.header.value, "values go out in raw_value"
        words.append(f"{name}={option.header.raw_value.decode()}")
    words += [f"-{name}" for name in mutation.remove_headers]
    return "".join(" " + word for word in words)


def describe_event(event: object) -> str:
    match event:
        case RequestReady():
            words = [f"ready {event.body_state.value} {len(event.body)} B"]
            words += [] if event.subset is None else ["subset=" + ";".join(event.subset)]
            words += [] if event.reply_view is ReplyView.CHUNKS else [f"view={event.reply_view.value}"]
            return " ".join(words)
        case ReplyHeaders():
            return f"reply {event.status}" + (f" served={event.served}" if event.served else "")
        case ReplyFirstData():
            return "first data"
        case ReplyEnd():
            return f"reply end {event.size_bytes} B"
    raise AssertionError(event)


def decision(words: list[str]) -> Pick | Rejection:
    if words[0] == "reject":
        return Rejection(int(words[1]), words[2], b"{}")
    options = dict(word.split("=", 1) for word in words[2:] if "=" in word)
    body = made_up(int(options.pop("body"))) if "body" in options else None
    return Pick(
        destinations=tuple(words[1].split(",")),
        body=body,
        set_headers=tuple(options.items()),
        remove_headers=tuple(word[1:] for word in words[2:] if word.startswith("-")),
        close="close" in words[2:],
    )


class Driver(Protocol):
    """Something that speaks the protocol: an exchange in memory, or a server behind a socket."""

    def run(self, steps: Iterator[tuple[str, list[str]]], write: Callable[[str], None]) -> None: ...


@dataclass
class MemoryDriver:
    """Drives an `Exchange` directly."""

    settings: ExchangeSettings = ExchangeSettings()
    budget: BodyBudget = field(default_factory=lambda: BodyBudget(1 << 30))
    proxy: Proxy = field(default_factory=Proxy)
    last_ready: RequestReady | None = None

    def run(self, steps: Iterator[tuple[str, list[str]]], write: Callable[[str], None]) -> None:
        self.exchange = Exchange(self.settings, self.budget)
        self.write = write
        self.reply_headers: tuple[tuple[str, str], ...] = ()
        for who, words in steps:
            write(f"{who} {' '.join(words)}")
            if who == "=":
                self._decide(words)
            elif words[0] == "half-close":
                self.exchange.half_close()
            elif words[0] == "reset":
                break
            else:
                try:
                    self._handle(self.exchange.receive(self.proxy.message(words)))
                except ProxyProtocolError as error:
                    write(f"x {error}")
                    self._handle(self.exchange.refuse(Rejection(500, "rejected-proxy-fault", b"{}")))
            if self.exchange.finished:
                write("- closed")
                break
        cause = self.exchange.end()
        assert isinstance(cause, EndCause)
        assert self.exchange.end() is None
        write(f". {cause.value}")
        assert self.budget.held_bytes == 0
        check_bytes(self.proxy, self.last_ready)

    def _decide(self, words: list[str]) -> None:
        if words[0] == "reply":
            self.reply_headers = tuple(tuple(word.split("=", 1)) for word in words[1:])  # type: ignore[misc]
            return
        self._handle(self.exchange.answer(decision(words)))
        self.exchange.written()

    def _handle(self, steps: list) -> None:  # type: ignore[type-arg]
        for step in steps:
            if isinstance(step, wire.ProcessingResponse):
                self.proxy.got(step)
                self.write(f"< {describe(step)}")
                continue
            self.write(f"! {describe_event(step)}")
            if isinstance(step, RequestReady):
                self.last_ready = step
            if isinstance(step, ReplyHeaders):
                self._handle(self.exchange.answer_reply(self.reply_headers))


def check_bytes(proxy: Proxy, ready: RequestReady | None) -> None:
    """Bytes are sacred: what is written is what was sent, as far as it was written."""
    assert not proxy.reply_received or proxy.reply_sent == proxy.reply_received
    if ready is not None and ready.body_state is BodyState.COMPLETE:
        assert ready.body == bytes(proxy.sent)


def inputs_of(script: str) -> Iterator[tuple[str, list[str]]]:
    for line in lines_of(script):
        if line[0] in ">=":
            yield line[0], line[2:].split()


def lines_of(script: str) -> list[str]:
    return [line.strip() for line in dedent(script).strip().splitlines() if line.strip()]


def play(driver: Driver, script: str) -> str:
    """The transcript that the inputs of `script` give."""
    out: list[str] = []
    driver.run(inputs_of(script), out.append)
    return "\n".join(out)
