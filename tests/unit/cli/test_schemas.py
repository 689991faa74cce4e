"""`sluice schemas --connect`: one line for one topic, by the policy that is there."""

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from local.demo import policy as demo_policy
from processors.errors import ConfigurationError
from streams import columns, settings
from streams.cli.schemas import schemas
from topics.catalog import ALERTS, DECISIONS


def said(*arguments: str, config: Path | None = None) -> Result:
    return CliRunner().invoke(schemas, arguments, obj=settings.runtime(config))


def test_the_schema_is_on_one_line_and_has_the_fields_of_the_policy() -> None:
    result = said("sluice.decisions", "--connect", config=demo_policy.FILE)
    assert result.exit_code == 0
    assert result.output.count("\n") == 1
    assert orjson.loads(result.output) == columns.schema(DECISIONS, demo_policy.load())


def test_no_policy_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert orjson.loads(said("alerts", "--connect").output) == columns.schema(ALERTS, None)


def test_a_topic_has_to_be_named() -> None:
    error = said("--connect").exception
    assert isinstance(error, ConfigurationError)
    assert "name one of decisions" in str(error)
