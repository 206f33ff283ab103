"""Prints a decision and its explanation for people: a line or two, and a row per endpoint.

Names of models and requests come from clients: control characters are shown as escapes, and nothing is markup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["MOST_ROWS", "print_answer"]

MOST_ROWS = 20
"""Endpoints that are shown of a wide pool: the pick, and the next best."""

LONG_HEADING = 12
"""Characters; a longer name of a plugin is broken at its hyphens, so that three scorers fit into 80 columns."""

Json = Mapping[str, Any]


def print_answer(answer: Json, console: Console, *, all_endpoints: bool = False) -> None:
    """A debug page's answer: of a past decision, of a dry run, or of a dry run that was refused."""

    def line(*parts: str | tuple[str, str]) -> None:
        console.print(Text.assemble(*parts), soft_wrap=not console.is_terminal)  # whole lines for programs

    if "id" in answer:
        line(*_identity(answer))
    line(*_request(answer.get("request", answer)))
    if "rejected" in answer:
        line(("refused", "bold red"), f": {_clean(answer['rejected'])}: {_clean(answer['message'])}")
    if "explanation" not in answer:
        return
    explanation = answer["explanation"]
    line(f"prompt about {explanation['prompt_tokens']:.0f} tokens, answer about {explanation['output_tokens']:.0f}")
    if note := answer.get("note"):
        line((_clean(note), "yellow"))
    candidates = explanation["candidates"]
    shown = candidates if all_endpoints else candidates[:MOST_ROWS]
    console.print(_table(shown, explanation["weights"]))
    if hidden := candidates[len(shown) :]:
        line((f"and {_left_out(hidden)}; --all shows them", "dim"))
    if reply := answer.get("reply"):
        line(", ".join(_reply(reply, answer["predicted"])))


def _identity(answer: Json) -> Iterator[str]:
    yield f"decision {_clean(answer['id'])} at {answer['at']}"
    if answer["request_id"]:
        yield f", request id {_clean(answer['request_id'])}"


def _request(request: Json) -> Iterator[str | tuple[str, str]]:
    yield f"{request['operation']}  model "
    yield _clean(request["model"]) or "(none)", "bold"
    if request["target_model"] != request["model"]:
        yield " -> "
        yield _clean(request["target_model"]), "bold"
    if request["adapter"]:
        yield " (adapter)"


def _table(candidates: Sequence[Json], weights: Mapping[str, float]) -> Table:
    """A row per endpoint: its pick, what it holds, each score or term, the total, and what took it out."""
    terms = list(dict.fromkeys(name for one in candidates for name in one["terms"]))
    scores = list(dict.fromkeys(name for one in candidates for name in one["scores"]))
    any_out = any(one["rejected_by"] for one in candidates)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("", min_width=2)
    table.add_column("endpoint", overflow="fold")
    named = (*terms, *(f"{name} x{weights[name]:g}" for name in scores))
    for heading in ("matched", *named, "cost" if terms else "score"):
        table.add_column(_heading(heading), justify="right", no_wrap=True)
    if any_out:
        table.add_column("out by", overflow="fold")
    for one in candidates:
        table.add_row(
            {1: "=>", None: ""}.get(one["chosen"], str(one["chosen"])),
            Text(_clean(one["address"])),
            f"{one['matched_tokens']:.0f}",
            *(_number(one["terms"].get(name)) for name in terms),
            *(_number(one["scores"].get(name), 3) for name in scores),
            _total(one["total"], is_cost=bool(terms)),
            *([Text(one["rejected_by"] or "")] if any_out else []),
            style="bold" if one["chosen"] == 1 else "dim" if one["rejected_by"] else "",
        )
    return table


def _heading(name: str) -> Text:
    return Text(name if len(name) <= LONG_HEADING else name.replace("-", "-\n").replace(" ", "\n"))


def _total(value: float | None, *, is_cost: bool) -> str:
    """What the picker saw is higher for the better; a cost is shown as it is."""
    if value is None:
        return ""
    return _number(-value) if is_cost else _number(value, 3)


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value + 0.0:.{digits}f}"


def _left_out(hidden: Sequence[Json]) -> str:
    out = Counter(one["rejected_by"] for one in hidden if one["rejected_by"])
    words = [f"{len(hidden)} more"]
    if out:
        words.append("taken out: " + ", ".join(f"{times} by {name}" for name, times in out.items()))
    return ", ".join(words)


def _reply(reply: Json, predicted: Json) -> Iterator[str]:
    """What became of a request, beside what was predicted where the reply tells."""
    yield f"reply {reply['status'] or 'not seen'}"
    if reply["ended"]:
        yield f"verdict {reply['ended']}"
    if reply["duration_s"] is not None:
        yield f"{reply['duration_s']:.3f} s"
    if reply["time_to_first_token_s"] is not None:
        expected = f"predicted {predicted['time_to_first_token_s']:.3f}"
        yield f"first token {reply['time_to_first_token_s']:.3f} s ({expected})"
    if reply["cached_tokens"] is not None and reply["prompt_tokens"] is not None:
        expected = f"predicted {predicted['cached_tokens']:.0f}"
        yield f"{reply['cached_tokens']} of {reply['prompt_tokens']} prompt tokens cached ({expected})"
    if reply["served"]:
        yield f"served by {_clean(reply['served'])}"


def _clean(text: object) -> str:
    """Text that does nothing to a terminal."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
