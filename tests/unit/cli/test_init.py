"""A first policy from three answers: whatever is answered, it is one that Sluice takes."""

from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from processors.errors import ConfigurationError
from streams import settings
from streams.cli import init
from streams.settings import Runtime
from topics.messages import Kind


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(init.init, arguments, obj=Runtime(config=path))


def test_options_answer_the_questions(tmp_path: Path) -> None:
    path = tmp_path / "sluice.toml"
    result = run(path, "--kind", "email", "--topic", "a", "--topic", "b", "--watch-for", "A contract ends")
    assert result.exception is None
    stream = settings.load(path).streams["emails"]
    assert (stream.kind, stream.topics) == ("email", ("a", "b"))
    assert stream.labels["urgent"].means == "A contract ends"
    assert (stream.labels["urgent"].severity, stream.labels["urgent"].escalate) == ("critical", "mini")
    assert f"sluice --config {path} try FILE" in result.output


@given(
    kind=st.sampled_from(get_args(Kind)),
    topics=st.lists(st.from_regex(r"[A-Za-z0-9._-]{3,249}", fullmatch=True), min_size=1, max_size=5, unique=True),
    watch_for=st.text(min_size=1).filter(lambda text: bool(text.strip())),
)
def test_any_answer_gives_a_policy_that_says_it(kind: Kind, topics: list[str], watch_for: str) -> None:
    (stream,) = settings.parse(init.policy(kind, tuple(topics), watch_for), Path("sluice.toml")).streams.values()
    assert (stream.kind, stream.topics) == (kind, tuple(topics))
    assert watch_for in {label.means for label in stream.labels.values()}


def test_an_answer_that_cannot_be_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'my topic' is no name of a Kafka topic"):
        run_raising(tmp_path / "sluice.toml", "--kind", "log", "--topic", "my topic", "--watch-for", "x")
    assert not (tmp_path / "sluice.toml").exists()


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "sluice.toml"
    path.write_text("mine")
    answers = ("--kind", "log", "--topic", "t", "--watch-for", "x")
    with pytest.raises(ConfigurationError, match=r"is there already: .*--config.*--force"):
        run_raising(path, *answers)
    assert path.read_text() == "mine"
    assert run(path, *answers, "--force").exception is None
    assert settings.load(path)


def test_without_a_terminal_it_names_what_it_would_ask(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="give --topic, --watch-for"):
        run_raising(tmp_path / "sluice.toml", "--kind", "log")
    assert not (tmp_path / "sluice.toml").exists()


def test_topics_come_with_commas_or_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "sluice.toml"
    assert run(path, "--kind", "log", "--topic", "a, b,", "--topic", "c,a", "--watch-for", "x").exception is None
    assert settings.load(path).streams["logs"].topics == ("a", "b", "c")


@pytest.mark.parametrize(
    ("topic", "watch_for", "told"),
    [
        ("a", "", "--watch-for is empty: say in words"),
        ("a", " ", "--watch-for is empty: say in words"),
        ("", "x", "--topic names no topic: write one"),
        (" ,", "x", "--topic names no topic: write one"),
        ("sluice.decisions", "x", "topic 'sluice.decisions' is Sluice's own"),
    ],
)
def test_an_answer_that_cannot_be_is_told_without_a_file(tmp_path: Path, topic: str, watch_for: str, told: str) -> None:
    path = tmp_path / "sluice.toml"
    with pytest.raises(ConfigurationError) as caught:
        run_raising(path, "--kind", "log", "--topic", topic, "--watch-for", watch_for)
    assert str(caught.value).startswith(told)
    assert not path.exists()


def run_raising(path: Path, *arguments: str) -> None:
    error = run(path, *arguments).exception
    assert error is not None
    raise error
