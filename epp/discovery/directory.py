"""Turns targets into endpoints: which names to look up, when to ask again, and what to serve meanwhile.

No IO and no clock. Whoever drives a `Directory` asks the questions that are `due`, tells it what came back, and
publishes `specs` after each change. Rules:
- an answer is asked for again when its time to live ends, within bounds;
- a failed lookup changes nothing but the time of the next one: the old addresses stay. "No such name" is a failure,
  since it is what a service shows while it is re-created; an empty answer is an answer and empties the name;
- a name with IPv4 and IPv6 addresses is one server, not two, so one family counts (see `Family`).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import count

from epp.discovery.source import merge
from epp.discovery.targets import HostTarget, ServiceTarget, Target, is_address
from epp.endpoints.types import EndpointSpec, canonical_address

__all__ = ["Answer", "Directory", "DnsSettings", "Failure", "Family", "Question", "RecordType", "ServiceRecord"]

PATIENCE_S = 0.5
"""How long the first answer for a name may hold up the publication of what is known already."""


class RecordType(Enum):
    """DNS record types that are asked for."""

    A = "A"
    AAAA = "AAAA"
    SRV = "SRV"


class Family(Enum):
    """Which addresses of a name count. Names as in Envoy's `dns_lookup_family`."""

    V4_PREFERRED = "v4-preferred"
    """IPv4 where there is any, else IPv6."""
    V6_PREFERRED = "v6-preferred"
    ALL = "all"
    """Each address is an endpoint. Only where IPv4 and IPv6 addresses belong to different servers."""


class Failure(Enum):
    """Why a lookup failed, as far as an operator would act differently."""

    NO_SUCH_NAME = "no such name"
    TIMEOUT = "no answer in time"
    SERVER = "the DNS servers refuse or fail"
    NO_SERVERS = "no DNS server is configured"
    OTHER = "lookup failed"


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """How names are looked up."""

    min_interval_s: float = 1.0
    """No name is asked for more often, whatever its time to live says."""
    max_interval_s: float = 60.0
    """No name is asked for less often. After failures the wait starts at the minimum and doubles up to this."""
    timeout_s: float = 5.0
    """For one lookup, with all servers, retries and search domains."""
    family: Family = Family.V4_PREFERRED
    nameservers: tuple[tuple[str, int], ...] = ()
    """(IP address, port) of servers to ask; empty: those of /etc/resolv.conf, and /etc/hosts before them."""


@dataclass(frozen=True, slots=True)
class Question:
    """One lookup."""

    name: str
    type: RecordType


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """An SRV record. Its weight has no meaning here: the picker weighs endpoints itself."""

    host: str
    """As `parse_host` returns it."""
    port: int
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a lookup found; both empty when the name exists and has no such records."""

    ttl_s: float
    addresses: tuple[str, ...] = ()
    services: tuple[ServiceRecord, ...] = ()


@dataclass(slots=True)
class _State:
    next_at: float
    asking: bool = False
    answer: Answer | None = None
    failures: int = 0
    failure: Failure | None = None


class Directory:
    """The names behind a changing list of targets. Each call but `specs` costs O(log names)."""

    def __init__(self, settings: DnsSettings) -> None:
        self._settings = settings
        self._targets: tuple[Target, ...] = ()
        self._states: dict[Question, _State] = {}
        self._agenda: list[tuple[float, int, Question]] = []  # heap; entries that their state left behind are skipped
        self._entries = count()
        self._unsettled: dict[Question, float] = {}  # no first result yet: until when it may hold up others, rising
        self._changed = False

    def set_targets(self, targets: Iterable[Target], now: float) -> None:
        """Takes the complete list. Answers for names that stay are kept."""
        self._targets = tuple(targets)
        self._want(now)

    def due(self, now: float) -> list[Question]:
        """Questions to ask now. Each is then to be ended by `answered` or `failed`."""
        questions = []
        while self._agenda and self._agenda[0][0] <= now:
            at, _, question = heapq.heappop(self._agenda)
            state = self._states.get(question)
            if state and not state.asking and state.next_at == at:
                state.asking = True
                questions.append(question)
        return questions

    def wake_at(self, now: float) -> float:
        """When to call `due` and `specs` again, even if nothing happens; infinite for never."""
        held_until = self._held_until()
        return min(self._agenda[0][0] if self._agenda else math.inf, held_until if held_until > now else math.inf)

    def answered(self, question: Question, answer: Answer, now: float) -> bool:
        """A lookup succeeded. True when it had failed before, which is worth a line in the log."""
        state = self._states.get(question)
        if state is None:
            return False
        recovered = state.failures > 0
        delay = min(max(answer.ttl_s, self._settings.min_interval_s), self._settings.max_interval_s)
        self._changed |= state.answer is None or not _same_records(state.answer, answer)
        state.failures, state.failure, state.answer = 0, None, answer
        self._settle(question, state, now + delay)
        if question.type is RecordType.SRV:
            self._want(now)
        return recovered

    def failed(self, question: Question, failure: Failure, now: float) -> bool:
        """A lookup failed. True when the name did not fail in this way before, which is worth a line in the log."""
        state = self._states.get(question)
        if state is None:
            return False
        siblings = (self._states.get(Question(question.name, type_)) for type_ in RecordType)
        news = all(sibling.failure is not failure for sibling in siblings if sibling)
        delay = min(self._settings.min_interval_s * 2.0 ** min(state.failures, 16), self._settings.max_interval_s)
        state.failures, state.failure = state.failures + 1, failure
        self._settle(question, state, now + delay)
        return news

    def specs(self, now: float) -> tuple[EndpointSpec, ...] | None:
        """The endpoints, when they may differ from what the last call returned.

        None otherwise, and while there is nothing to say: first answers are out, or nothing was ever answered.
        """
        if not self._changed or self._held_until() > now:
            return None
        self._changed = False
        specs = merge([self._endpoints(target) for target in self._targets])
        if not specs and self._states and all(state.answer is None for state in self._states.values()):
            return None
        return specs

    def __repr__(self) -> str:
        failing = sum(1 for state in self._states.values() if state.failures)
        return f"<Directory {len(self._targets)} targets, {len(self._states)} questions, {failing} failing>"

    def _held_until(self) -> float:
        """Until when first answers that are out hold up the publication."""
        return next(reversed(self._unsettled.values()), -math.inf)

    def _settle(self, question: Question, state: _State, next_at: float) -> None:
        state.asking, state.next_at = False, next_at
        if self._unsettled.pop(question, None) is not None:
            self._changed = True
        heapq.heappush(self._agenda, (next_at, next(self._entries), question))

    def _want(self, now: float) -> None:
        """Adds the questions that the targets lead to, and drops the others."""
        before = self._states
        wanted = dict.fromkeys(question for target in self._targets for question in self._questions(target))
        self._states = {question: before.get(question) or _State(next_at=now) for question in wanted}
        self._unsettled = {question: at for question, at in self._unsettled.items() if question in wanted}
        for question in wanted:
            if question not in before:
                self._unsettled[question] = now + PATIENCE_S
                heapq.heappush(self._agenda, (now, next(self._entries), question))
        self._changed = True

    def _questions(self, target: Target) -> Iterator[Question]:
        if isinstance(target, ServiceTarget):
            yield Question(target.service, RecordType.SRV)
        for host in self._hosts(target):
            if not is_address(host.host):
                yield Question(host.host, RecordType.A)
                yield Question(host.host, RecordType.AAAA)

    def _hosts(self, target: Target) -> Iterator[HostTarget]:
        """A host target is itself; a service is what its records say, those of the best priority only (RFC 2782)."""
        if isinstance(target, HostTarget):
            yield target
            return
        state = self._states.get(Question(target.service, RecordType.SRV))
        records = state.answer.services if state and state.answer else ()
        best = min((record.priority for record in records), default=0)
        for record in sorted((r for r in records if r.priority == best), key=lambda r: (r.host, r.port)):
            yield HostTarget(
                record.host,
                record.port,
                namespace=target.namespace,
                labels=target.labels,
                metrics_port=target.metrics_port,
            )

    def _endpoints(self, target: Target) -> Iterator[EndpointSpec]:
        for host in self._hosts(target):
            if is_address(host.host):
                yield _spec(host, host.host, host.name)
                continue
            addresses = self._addresses(host.host)
            name = host.name or f"{host.host.removesuffix('.')}:{host.port}"
            for address in addresses:
                yield _spec(host, address, name if len(addresses) == 1 else f"{name}/{address}")

    def _addresses(self, name: str) -> list[str]:
        """Addresses of a name in a steady order."""
        v4, v6 = (self._found(Question(name, type_)) for type_ in (RecordType.A, RecordType.AAAA))
        if self._settings.family is Family.ALL:
            return v4 + v6
        return (v4 or v6) if self._settings.family is Family.V4_PREFERRED else (v6 or v4)

    def _found(self, question: Question) -> list[str]:
        state = self._states.get(question)
        return sorted(set(state.answer.addresses)) if state and state.answer else []


def _same_records(one: Answer, other: Answer) -> bool:
    """Servers shuffle records, and the time to live runs down."""
    return set(one.addresses) == set(other.addresses) and set(one.services) == set(other.services)


def _spec(host: HostTarget, address: str, name: str) -> EndpointSpec:
    return EndpointSpec(
        address=canonical_address(address, host.port),
        name=name,
        namespace=host.namespace,
        labels=host.labels,
        metrics_address=canonical_address(address, host.metrics_port) if host.metrics_port else "",
    )
