"""The bench on a small labelled file. How good or fast a student is, no test says."""

import gzip
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from bench import student as suite
from bench.__main__ import main
from processors.errors import ConfigurationError
from tests.unit.student.build import lessons


def test_it_measures_the_sources_that_are_there(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "logs.bgl.jsonl.gz", "wb") as out:
        for number, one in enumerate(lessons(400, labels=("routine", "alert"))):
            label = "alert" if one.label == "alert" else "normal"
            record = {"id": str(number), "stream": "logs", "source": "bgl", "time": None, "payload": {"line": one.text}}
            out.write(orjson.dumps(record | {"label": label, "labels": {}}, option=orjson.OPT_APPEND_NEWLINE))
    result = suite.run(tmp_path, seconds=0.001)
    assert list(result.lines) == ["logs.bgl, all"]
    assert result.lines["logs.bgl, all"].keys() == result.columns.keys()
    assert result.lines["logs.bgl, all"]["lessons"] == 280
    assert result.table().row_count == 1


def test_without_any_of_them_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="none of the files"):
        suite.run(tmp_path)


def test_without_a_folder_it_says_what_it_needs() -> None:
    refused = CliRunner().invoke(main, ["student"])
    assert refused.exit_code == 2
    assert "--data" in refused.output
