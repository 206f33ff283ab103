"""`epp check`."""

import json
from pathlib import Path

import pytest
import yaml

from tests.commands.invoking import invoke

LLM_D = Path(__file__).parents[1] / "data" / "llm-d"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.yaml"
    file.write_text("""\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorrer
epp:
  scraping: {intervall: 1s}
""")
    return file


def test_a_good_file_is_fine() -> None:
    result = invoke("check", str(LLM_D / "single-profile.yaml"))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"{LLM_D / 'single-profile.yaml'}: fine\n"


def test_everything_that_is_wrong_is_said_with_its_place(bad: Path) -> None:
    result = invoke("check", str(bad))
    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert first.startswith(f"error: {bad}:4:9: plugins[0].type: ")
    assert "queue-scorer" in first
    assert second.startswith(f"error: {bad}:6:14: epp.scraping: unknown key 'intervall'; did you mean 'interval'?")


def test_what_is_not_here_is_another_status() -> None:
    result = invoke("check", str(LLM_D / "disaggregated.yaml"))
    assert result.exit_code == 2
    assert "not here: " in result.stderr
    assert result.stderr.splitlines()[-1].endswith("disaggregated.yaml: works, without what is not here")


def test_findings_as_json(bad: Path) -> None:
    result = invoke("check", "--json", str(bad))
    assert (result.exit_code, result.stderr) == (1, "")
    found = json.loads(result.stdout)
    assert [problem["line"] for problem in found["errors"]] == [4, 6]
    assert found["errors"][1]["key"] == "epp.scraping"


def test_what_is_in_effect_can_be_read_again(tmp_path: Path) -> None:
    result = invoke("check", "--effective", str(LLM_D / "sticky.yaml"))
    assert result.exit_code == 0
    assert yaml.safe_load(result.stdout)["kind"] == "EndpointPickerConfig"
    again = tmp_path / "effective.yaml"
    again.write_text(result.stdout)
    assert invoke("check", str(again)).exit_code == 0


def test_of_a_faulty_file_nothing_is_in_effect(bad: Path) -> None:
    assert invoke("check", "--effective", str(bad)).stdout == ""


def test_the_schema_is_json() -> None:
    result = invoke("check", "--schema")
    assert result.exit_code == 0
    assert "$schema" in json.loads(result.stdout)
