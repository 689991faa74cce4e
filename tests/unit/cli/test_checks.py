"""What is wrong is said before a key or a broker is wanted."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from processors.errors import ConfigurationError
from streams.cli import config, feedback, memory, policy_test
from streams.settings import Runtime

POLICY = """\
[streams.logs]
kind = "log"
topics = ["logs"]
[streams.logs.labels.routine]
means = "Normal operation"
[streams.logs.labels.alert]
means = "A failure that somebody must see now"
"""
PRICE = "usd_per_million = { input = 0, cached = 0, output = 0, as_of = 2026-11-01 }"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "sluice.toml").write_text(POLICY)
    return tmp_path / "sluice.toml"


def refused(command: click.Command, path: Path, *words: str) -> str:
    error = CliRunner().invoke(command, words, obj=Runtime(config=path)).exception
    assert isinstance(error, ConfigurationError), error
    return str(error)


@pytest.mark.parametrize("words", [("check",), ("check", "--json")])
def test_models_without_a_price_are_told_by_the_check(path: Path, words: tuple[str, ...]) -> None:
    path.write_text(POLICY + '[tiers]\nnano.model = "foo-1"\nmini.model = "foo-2"\n')
    nano, mini = refused(config.config, path, *words).splitlines()
    assert nano.startswith(f'{path}: tiers.nano.model = "foo-1": its price is not known')
    assert "Set tiers.nano.usd_per_million = { input = …" in nano
    assert 'tiers.mini.model = "foo-2"' in mini


def test_a_model_with_a_price_of_its_own_is_good(path: Path) -> None:
    path.write_text(POLICY + f'[tiers.nano]\nmodel = "foo-1"\n{PRICE}\n')
    result = CliRunner().invoke(config.config, ["check"], obj=Runtime(config=path))
    assert (result.exit_code, "nano: foo-1" in result.output) == (0, True), result.output


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_policy_without_tests_is_told_how_to_write_one(
    path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    told = refused(policy_test.test, path, *words)
    assert f"{path} has no [[tests]]" in told
    example = told[told.index("  [[tests]]") :]
    path.write_text(POLICY + example)
    assert CliRunner().invoke(config.config, ["check"], obj=Runtime(config=path)).exit_code == 0
    assert "OPENAI_API_KEY" in refused(policy_test.test, path)  # with a test it does ask a model


@pytest.mark.parametrize("id_", ["foo", "logs/0", "logs/0/x", "/0/1", ""])
def test_what_is_no_message_id_is_refused(path: Path, id_: str) -> None:
    rule = f"'{id_}' is no message id: write topic/partition/offset"
    assert refused(memory.memory, path, "erase", "--message", id_).startswith(rule)
    assert refused(feedback.feedback, path, id_, "--stream", "logs", "--label", "alert").startswith(rule)
