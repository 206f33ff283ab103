"""Questions about documents that a retriever puts into the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.random import Generator

from epp.workloads.errors import WorkloadError
from epp.workloads.generators.arrivals import poisson
from epp.workloads.generators.draws import Draws, popularity
from epp.workloads.generators.parameters import Parameters
from epp.workloads.types import Call, Role, Workload

__all__ = ["DocumentOrder", "Rag"]


class DocumentOrder(Enum):
    """In which order documents stand in a prompt. Caches find a prefix only, so it decides what can be reused."""

    RELEVANCE = "relevance"
    """Each call has its own: even the same documents are seldom found."""
    SORTED = "sorted"
    """The most popular first: equal sets are equal prompts, and popular documents are common beginnings."""


@dataclass(frozen=True, slots=True)
class Rag(Parameters):
    """A short system prompt, some documents of a corpus, and a question."""

    documents: int = 200
    """In the corpus."""
    popularity: float = 1.0
    """Exponent of Zipf's law by which they are found; 0: all alike."""
    document_tokens: float = 1200.0
    documents_per_call: int = 4
    order: DocumentOrder = DocumentOrder.SORTED
    system_tokens: int = 300
    prompt_tokens: float = 60.0
    """Of the question."""
    output_tokens: float = 150.0
    spread: float = 0.6
    """Standard deviation of the logarithm of lengths."""

    def generate(self, rng: Generator) -> Workload:
        """See the class. Raises WorkloadError when a call wants more documents than there are."""
        if self.documents_per_call > self.documents:
            raise WorkloadError(
                f"documents_per_call is {self.documents_per_call}; there are only {self.documents} documents"
            )
        draws = Draws(rng)
        system = draws.segment(self.system_tokens, Role.SYSTEM)
        corpus = draws.segments(self.documents, self.document_tokens, self.spread)
        chosen = self._chosen(rng)
        times = poisson(rng, self.rate_per_s, self.calls)
        questions = draws.segments(self.calls, self.prompt_tokens, self.spread)
        outputs = draws.segments(self.calls, self.output_tokens, self.spread, Role.ASSISTANT)
        calls = (
            Call(at, (system, *(corpus[place] for place in places), question), output)
            for at, places, question, output in zip(times.tolist(), chosen, questions, outputs, strict=True)
        )
        return Workload("rag", tuple(calls))

    def _chosen(self, rng: Generator) -> list[list[int]]:
        """Different documents for each call: the smallest of exponential clocks that run as fast as documents are
        popular ring first (Efraimidis and Spirakis, 2006), which is drawing without putting back.
        """
        rates = popularity(self.documents, self.popularity)
        count = self.documents_per_call
        chosen = []
        for _ in range(self.calls):
            clocks = rng.exponential(size=self.documents) / rates
            first = np.argpartition(clocks, count - 1)[:count]
            ordered = np.sort(first) if self.order is DocumentOrder.SORTED else first[np.argsort(clocks[first])]
            chosen.append(ordered.tolist())
        return chosen
