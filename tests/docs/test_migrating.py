"""`epp migrate` prints what docs/migrating.md shows, and its table is that of the code."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from epp.manifests.models import PRIORITIES
from tests.commands.invoking import invoke
from tests.docs.pages import ROOT, cells, console_blocks

PAGE, HEADING = "docs/migrating.md", "Older resources"


def test_epp_migrate_does_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(ROOT / "tests" / "data" / "manifests" / "older.yaml", "older.yaml")
    shown = {line: output for block, line, output in console_blocks() if block.page == PAGE}
    (command,) = [line for line in shown if line.startswith("epp migrate")]
    result = invoke(*shlex.split(command)[1:])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == shown[command]
    pieces = [piece for piece in shown["cat today.yaml"].split("...\n") if piece]
    assert len(pieces) > 1
    assert all(piece in Path("today.yaml").read_text("utf-8") for piece in pieces)


def test_priorities_are_those_of_the_code() -> None:
    written = {
        word: int(new.rpartition("priority: ")[2].strip("`"))
        for before, new, *_ in cells(PAGE, HEADING)
        for word in re.findall(r"`criticality: (\w+)`", before)
    }
    assert written == {word: priority for word, priority in PRIORITIES.items() if word != "Default"}
