"""How a decision is printed: wide pools, what took endpoints out, and text that clients chose."""

import io
from typing import Any

from rich.console import Console

from epp.commands.explanations import print_answer


def candidate(number: int, **changed: object) -> dict[str, Any]:
    return {
        "address": f"10.0.0.{number}:8000",
        "chosen": 1 if number == 0 else None,
        "matched_tokens": 10.0,
        "terms": {},
        "scores": {"queue-scorer": 0.5},
        "total": 1.0,
        "rejected_by": None,
        **changed,
    }


def answer(*candidates: dict[str, Any], **changed: object) -> dict[str, Any]:
    return {
        "operation": "completions",
        "model": "m",
        "target_model": "m",
        "adapter": "",
        "explanation": {
            "prompt_tokens": 12.4,
            "output_tokens": 100.0,
            "weights": {"queue-scorer": 2.0},
            "candidates": list(candidates),
        },
        **changed,
    }


def printed(what: dict[str, Any], *, all_endpoints: bool = False, width: int = 80, colours: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=colours, highlight=False)
    print_answer(what, console, all_endpoints=all_endpoints)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def test_a_row_says_what_took_an_endpoint_out() -> None:
    busy = candidate(2, scores={}, total=None, rejected_by="queue-filter")
    lines = printed(answer(candidate(0), candidate(1), busy)).splitlines()
    assert lines[:2] == ["completions  model m", "prompt about 12 tokens, answer about 100"]
    rows = [line.split() for line in lines if "10.0.0." in line]
    assert rows == [
        ["=>", "10.0.0.0:8000", "10", "0.500", "1.000"],
        ["10.0.0.1:8000", "10", "0.500", "1.000"],
        ["10.0.0.2:8000", "10", "queue-filter"],
    ]


def test_a_line_is_whole_where_no_person_looks() -> None:
    seen = answer(candidate(0), id="d" * 20, at="2026-01-01T00:00:00Z", request_id="r" * 40, request={**answer()})
    assert printed(seen).splitlines()[0].endswith(f", request id {'r' * 40}")
    assert not any("r" * 40 in line and "decision" in line for line in printed(seen, colours=True).splitlines())


def test_a_refusal_shows_what_took_each_endpoint_out() -> None:
    out = [candidate(number, chosen=None, scores={}, total=None, rejected_by="label-filter") for number in range(2)]
    lines = printed(answer(*out, rejected="rejected-saturated", message="nobody passes")).splitlines()
    assert "refused: rejected-saturated: nobody passes" in lines
    rows = [line.split() for line in lines if "10.0.0." in line]
    assert rows == [["10.0.0.0:8000", "10", "label-filter"], ["10.0.0.1:8000", "10", "label-filter"]]


def test_a_cost_is_shown_as_it_is() -> None:
    one = candidate(0, scores={}, terms={"wait": 0.04, "prefill": 120.0}, total=-120.04)
    lines = printed(answer(one)).splitlines()
    assert lines[-2].split() == ["endpoint", "matched", "wait", "prefill", "cost"]
    assert lines[-1].split() == ["=>", "10.0.0.0:8000", "10", "0.0", "120.0", "120.0"]


def test_of_many_the_best_are_shown_and_the_rest_is_counted() -> None:
    out = [candidate(number, scores={}, total=None, rejected_by="model") for number in range(25, 30)]
    many = answer(*(candidate(number) for number in range(25)), *out)
    lines = printed(many).splitlines()
    assert sum("10.0.0." in line for line in lines) == 20
    assert lines[-1] == "and 10 more, taken out: 5 by model; --all shows them"
    everything = printed(many, all_endpoints=True)
    assert everything.count("10.0.0.") == 30
    assert "--all" not in everything


def test_what_clients_chose_does_nothing_to_a_terminal() -> None:
    text = printed(answer(candidate(0), model="\x1b[31m[bold]red\n", target_model="other", adapter="a"), colours=True)
    assert "\\x1b[31m[bold]red\\n" in text
    assert "\x1b[31m" not in text
    assert "(adapter)" in text


def test_a_refusal_has_no_table() -> None:
    refused = {"operation": "completions", "model": "", "target_model": "", "adapter": ""}
    refused |= {"rejected": "rejected-no-endpoints", "message": "no endpoint"}
    assert printed(refused) == "completions  model (none)\nrefused: rejected-no-endpoints: no endpoint"


def test_a_past_decision_says_how_it_went() -> None:
    reply = {
        "status": 200,
        "ended": "good",
        "duration_s": 0.5,
        "time_to_first_token_s": 0.25,
        "cached_tokens": 3,
        "prompt_tokens": 12,
        "served": "10.0.0.9:8000",
    }
    predicted = {"time_to_first_token_s": 0.2, "cached_tokens": 7.6}
    told = {"id": "a-1", "at": "2026-01-01T00:00:00Z", "request_id": "r", "predicted": predicted, "reply": reply}
    lines = printed(told | answer(candidate(0)), width=200).splitlines()
    assert lines[0] == "decision a-1 at 2026-01-01T00:00:00Z, request id r"
    assert lines[-1] == (
        "reply 200, verdict good, 0.500 s, first token 0.250 s (predicted 0.200), "
        "3 of 12 prompt tokens cached (predicted 8), served by 10.0.0.9:8000"
    )


def test_what_the_picker_remarks_is_shown() -> None:
    noted = answer(candidate(0), note="overloaded: picked by load alone")
    assert "overloaded: picked by load alone" in printed(noted)
