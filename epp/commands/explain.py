"""`epp explain`: why an endpoint was picked for a past request, or would be for one in a file.

Asks a running picker's debug pages, so the answer is of what it knows now: endpoints, load, prefixes.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode

import click
from rich.console import Console
from rich.table import Table

from epp.commands.running import fail

__all__ = ["explain", "print_answer"]

TIMEOUT_S = 10.0

Json = Mapping[str, Any]


@click.command(context_settings={"show_default": True})
@click.argument("request_file", type=click.File("rb"), required=False, metavar="[FILE]")
@click.option("--id", "decision", help="Id of a past decision, or its x-request-id. Without FILE and id: the last one.")
@click.option("--path", default="/v1/chat/completions", help="Path of the request in FILE.")
@click.option("--header", "headers", multiple=True, metavar="NAME: VALUE", help="Header of that request; repeatable.")
@click.option("--url", default="http://127.0.0.1:9090", help="The picker's metrics and debug port.")
@click.option(
    "--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Token of debug pages."
)
@click.option("--pool", default="", help="Pool, where the picker has several.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def explain(
    *,
    request_file: IO[bytes] | None,
    decision: str | None,
    path: str,
    headers: Sequence[str],
    url: str,
    token_file: Path | None,
    pool: str,
    as_json: bool,
) -> None:
    """Say why an endpoint was, or would be, picked.

    FILE holds a request's body ("-" is standard input): where would it go now? With --id: why did that request go where
    it went? Nothing is placed and nothing changes.
    """
    if request_file and decision:
        raise click.UsageError("give FILE or --id, not both")
    debug = _DebugPages(url.rstrip("/"), token_file.read_text().strip() if token_file else "", pool)
    if request_file:
        answer = debug.ask("/debug/explain", _asked(request_file.read(), path, headers))
    else:
        answer = debug.ask("/debug/decisions/" + quote(decision or debug.newest(), safe=""))
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        print_answer(answer, Console(highlight=False, width=None if sys.stdout.isatty() else 200))


def _asked(body: bytes, path: str, headers: Sequence[str]) -> bytes:
    """The question about a request, as the debug page takes it. The body travels as text, byte for byte."""
    fields = dict(_header(text) for text in headers)
    text = body.decode("utf-8", "surrogateescape")
    return json.dumps({"path": path, "headers": fields, "body": text}).encode("utf-8", "surrogateescape")


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise click.BadParameter(f"{text!r} is not NAME: VALUE", param_hint="--header")
    return name.strip().lower(), value.strip()


class _DebugPages:
    """A running picker's debug pages. What goes wrong ends the command with a message."""

    def __init__(self, url: str, token: str, pool: str) -> None:
        self._url = url
        self._token = token
        self._pool = pool

    def ask(self, path: str, body: bytes | None = None, **query: str) -> Json:
        if self._pool:
            query["pool"] = self._pool
        url = f"{self._url}{path}" + (f"?{urlencode(query)}" if query else "")
        if not url.startswith(("http://", "https://")):
            raise click.BadParameter("must begin with http:// or https://", param_hint="--url")
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - checked above
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - likewise
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            raise fail(f"{url}: {error.code}: {_reason(error.read())}") from None
        except OSError as error:
            raise fail(f"{url}: {getattr(error, 'reason', error)}. Is the picker running there? See --url") from None
        except ValueError:
            raise fail(f"{url}: the answer is not JSON; this is no picker's debug port") from None

    def newest(self) -> str:
        decisions = self.ask("/debug/decisions", last="1")["decisions"]
        if not decisions:
            raise fail("no request has been placed yet")
        return str(decisions[0]["id"])


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")


def print_answer(answer: Json, console: Console) -> None:
    """A debug page's answer as a table."""
    request = answer.get("request", answer)
    console.print(f"{request['operation']}  model [bold]{request['model'] or '(none)'}[/]{_target(request)}")
    if "rejected" in answer:
        console.print(f"[bold red]refused[/]: {answer['rejected']}  {answer['message']}")
        return
    explanation = answer["explanation"]
    console.print(
        f"prompt about {explanation['prompt_tokens']:.0f} tokens, answer about {explanation['output_tokens']:.0f}"
    )
    if note := answer.get("note"):
        console.print(f"[yellow]{note}[/]")
    console.print(_table(explanation))
    if reply := answer.get("reply"):
        console.print(_reply_line(reply))


def _target(request: Json) -> str:
    target = request["target_model"]
    changed = f" -> [bold]{target}[/]" if target != request["model"] else ""
    return changed + (" (adapter)" if request["adapter"] else "")


def _table(explanation: Json) -> Table:
    """A row per endpoint: its pick, what it holds, each score or term, the total, and what took it out."""
    candidates, weights = explanation["candidates"], explanation["weights"]
    terms = list(dict.fromkeys(name for one in candidates for name in one["terms"]))
    scores = list(dict.fromkeys(name for one in candidates for name in one["scores"]))
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    table.add_column("endpoint")
    for name in (
        "matched",
        *terms,
        *(f"{score} x{weights[score]:g}" for score in scores),
        "cost" if terms else "score",
    ):
        table.add_column(name, justify="right")
    table.add_column("out by")
    for one in candidates:
        total = one["total"]
        table.add_row(
            {1: "=>", None: ""}.get(one["chosen"], str(one["chosen"])),
            one["address"],
            f"{one['matched_tokens']:.0f}",
            *(_number(one["terms"].get(name)) for name in terms),
            *(_number(one["scores"].get(name), 3) for name in scores),
            "" if total is None else _number(-total if terms else total, 1 if terms else 3),
            one["rejected_by"] or "",
            style="bold" if one["chosen"] == 1 else "dim" if one["rejected_by"] else "",
        )
    return table


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value + 0.0:.{digits}f}"


def _reply_line(reply: Json) -> str:
    words = [f"reply {reply['status'] or 'not seen'}"]
    if reply["ended"]:
        words.append(f"verdict {reply['ended']}")
    if reply["duration_s"] is not None:
        words.append(f"{reply['duration_s']:.3f} s")
    if reply["time_to_first_token_s"] is not None:
        words.append(f"first token {reply['time_to_first_token_s']:.3f} s")
    if reply["cached_tokens"] is not None:
        words.append(f"{reply['cached_tokens']} of {reply['prompt_tokens']} prompt tokens cached")
    if reply["served"]:
        words.append(f"served by {reply['served']}")
    return ", ".join(words)
