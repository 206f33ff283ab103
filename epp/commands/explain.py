"""`epp explain`: why an endpoint was picked for a past request, or would be for one in a file.

Asks a running picker's debug pages, so the answer is of what it knows now: endpoints, load, prefixes.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn
from urllib.parse import quote, urlencode

import click
from rich.console import Console

from epp.commands.explanations import MOST_ROWS, print_answer
from epp.commands.failing import fail

__all__ = ["explain"]

TIMEOUT_S = 10.0

PIPE_WIDTH = 10_000
"""Columns when nobody looks: a row is a line."""

Json = Mapping[str, Any]


@click.command(context_settings={"show_default": True})
@click.argument("request_file", type=click.File("rb"), required=False, metavar="[FILE]")
@click.option("--id", "decision", help="Id of a past decision, or its x-request-id. Without FILE and id: the last one.")
@click.option("--path", help="Path of the request in FILE.  [default: /v1/chat/completions]")
@click.option("--header", "headers", multiple=True, metavar="NAME: VALUE", help="Header of that request; repeatable.")
@click.option("--subset", multiple=True, metavar="IP:PORT", help="What the gateway allows for it; repeatable.")
@click.option("--url", default="http://127.0.0.1:9090", help="The picker's metrics and debug port.")
@click.option("--token-file", type=click.Path(dir_okay=False, path_type=Path), help="Token of debug pages.")
@click.option("--pool", default="", show_default=False, help="Pool, where the picker has several.")
@click.option("--all", "all_endpoints", is_flag=True, help=f"All endpoints, not only the best {MOST_ROWS}.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON, with all endpoints.")
def explain(
    *,
    request_file: IO[bytes] | None,
    decision: str | None,
    path: str | None,
    headers: Sequence[str],
    subset: Sequence[str],
    url: str,
    token_file: Path | None,
    pool: str,
    all_endpoints: bool,
    as_json: bool,
) -> None:
    """Say why an endpoint was, or would be, picked.

    FILE holds a request's body ("-" is standard input): where would it go now? With --id: why did that request go where
    it went? Nothing is placed and nothing changes.
    """
    if request_file and decision:
        raise click.UsageError("give FILE or --id, not both")
    if not request_file and (path or headers or subset):
        raise click.UsageError("--path, --header and --subset are about the request in FILE; give FILE, or - for stdin")
    debug = _DebugPages(_absolute(url), _token(token_file) if token_file else "", pool)
    if request_file:
        answer = debug.ask("/debug/explain", _asked(request_file.read(), path, headers, subset))
    else:
        answer = debug.ask("/debug/decisions/" + quote(decision or debug.newest(), safe=""))
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
        print_answer(answer, console, all_endpoints=all_endpoints)


def _absolute(url: str) -> str:
    """The URL, with `http` where nothing is said."""
    return (url if "://" in url else f"http://{url}").rstrip("/")


def _token(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except OSError as error:
        raise fail(f"--token-file {file}: cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise fail(f"--token-file {file}: must hold plain ASCII text") from None


def _asked(body: bytes, path: str | None, headers: Sequence[str], subset: Sequence[str]) -> bytes:
    """The question about a request, as the debug page takes it. The body travels as text, character by character."""
    try:
        question: dict[str, object] = {"body": body.decode(), "headers": dict(map(_header, headers))}
    except UnicodeDecodeError as error:
        raise fail(f"the request is not UTF-8 text, as JSON is: {error.reason} at byte {error.start}") from None
    if path:
        question["path"] = path
    if subset:
        question["subset"] = subset
    return json.dumps(question).encode()


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
        # Not through a proxy: the pages are for clients on the same machine, and one that was sent on is refused.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, path: str, body: bytes | None = None, **query: str) -> Json:
        if self._pool:
            query["pool"] = self._pool
        url = f"{self._url}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            request = urllib.request.Request(url, body, headers)  # noqa: S310 - the operator's own URL
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            self._refused(error, url)
        except (OSError, http.client.HTTPException) as error:
            raise fail(f"no picker answers at {self._url}: {_why(error)}. Is it running? See --url") from None
        except ValueError as error:
            raise fail(f"{self._url} is no picker's debug port: {error}. See --url") from None
        if not isinstance(found, dict):
            raise fail(f"{self._url} is no picker's debug port: it answers with other JSON. See --url")
        return found

    def newest(self) -> str:
        decisions = self.ask("/debug/decisions", last="1").get("decisions")
        if not decisions:
            raise fail(f"the picker at {self._url} has not placed a request yet")
        return str(decisions[0]["id"])

    def _refused(self, error: urllib.error.HTTPError, url: str) -> NoReturn:
        said = _error_in(error.read())
        if said is None:
            raise fail(f"{self._url} is no picker's debug port: {url} is answered {error.code}. See --url")
        hint = {
            401: ": see --token-file",
            404: ". Refused requests are not among them: the log has these, from -v 4 on",
        }.get(error.code, "")
        raise fail(f"the picker at {self._url} answers: {said}{hint}")


def _error_in(body: bytes) -> str | None:
    """What a picker's error page says; None when it is not a picker's."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return None


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"{reason.verify_message}; SSL_CERT_FILE names a file with the authorities to trust"
    if isinstance(reason, TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return f"{type(reason).__name__}: {reason}" if isinstance(reason, Exception) else str(reason)
