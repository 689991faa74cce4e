"""Labelled files as users write them: what cannot be scored is told by their own names before anything starts."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from local.eval.checks import checked
from local.eval.command import evaluate
from local.eval.sources import gold_file, labelled, load
from processors.errors import ConfigurationError
from streams import sources
from streams.settings import Runtime

ROOT = Path(__file__).parents[3]
GOOD = '{"payload": {"line": "INFO all is well"}, "label": "routine"}\n'
LABELS = """
[streams.{name}.labels.routine]
means = "Normal operation"
[streams.{name}.labels.alert]
means = "Somebody must look"
"""
LOGS = '[streams.logs]\nkind = "log"\ntopics = ["logs", "more"]\n' + LABELS.format(name="logs")
SHOP = '[streams.shop]\nkind = "log"\ntopics = ["shop"]\n' + LABELS.format(name="shop")
SOURCE = '[mine]\ndata = "mine.jsonl"\ngold = "label"\n'


def folder(at: Path, lines: str = GOOD, source: str = SOURCE, policy: str = LOGS) -> Path:
    (at / "mine.jsonl").write_text(lines)
    (at / "sources.toml").write_text(source)
    (at / "mine.toml").write_text(policy)
    return at


def refused(at: Path, limit: int | None = None) -> str:
    with pytest.raises(ConfigurationError) as told:
        checked(at, at, load(at)["mine"], limit)
    return str(told.value)


def test_of_several_topics_the_first_is_used(tmp_path: Path) -> None:
    at = folder(tmp_path)
    assert checked(at, at, load(at)["mine"], None).streams["logs"].topics == ("logs",)


def test_of_several_streams_the_source_names_its_own(tmp_path: Path) -> None:
    told = refused(folder(tmp_path, policy=LOGS + SHOP))
    assert "mine.toml has the streams logs, shop" in told
    assert 'stream = "logs"' in told
    at = folder(tmp_path, policy=LOGS + SHOP, source=SOURCE + 'stream = "shop"')
    assert list(checked(at, at, load(at)["mine"], None).streams) == ["shop"]
    assert "use one of logs, shop" in refused(folder(tmp_path, policy=LOGS + SHOP, source=SOURCE + 'stream = "web"'))


@pytest.mark.parametrize("options", [(), ("--compare",), ("--external",)])
def test_the_command_says_so_before_anything_starts(
    options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.eval.command.LocalKafka", None)
    at = str(folder(tmp_path, policy=LOGS + SHOP))
    with pytest.raises(ConfigurationError, match="has the streams logs, shop"):
        CliRunner().invoke(evaluate, [at, "--policies", at, *options], obj=Runtime(), catch_exceptions=False)


def test_without_its_policy_it_is_named(tmp_path: Path) -> None:
    (folder(tmp_path) / "mine.toml").unlink()
    assert f"{tmp_path / 'mine.toml'} is not there: it is the policy of [mine]" in refused(tmp_path)


@pytest.mark.parametrize(
    ("line", "keys", "lacking"),
    [
        ('{"payload": {"line": "x"}}', "", "label"),
        ('{"text": "x", "label": "alert"}', "", "payload"),
        ('{"payload": 7, "label": "alert"}', "", "payload"),
        ('{"payload": "x", "label": "alert"}', 'unit = "block"', "labels.block"),
    ],
)
def test_a_line_that_lacks_something_is_named_with_what_it_lacks(
    line: str, keys: str, lacking: str, tmp_path: Path
) -> None:
    good = '{"payload": "x", "label": "alert", "labels": {"block": "b-1"}}\n'
    told = refused(folder(tmp_path, good + "\n" + line, SOURCE + keys))
    assert told.startswith(f"{tmp_path / 'mine.jsonl'}:3: this line lacks `{lacking}`. A line looks like ")


def test_the_line_that_an_error_shows_is_a_good_one(tmp_path: Path) -> None:
    keys = 'values = { true = "alert", false = "routine" }\nunit = "block"\n'
    source = SOURCE.replace('"label"', '"labels.urgent"') + keys
    told = refused(folder(tmp_path, '{"payload": "x", "label": "alert"}', source))
    assert "lacks `labels`" in told
    shown = re.search(r"looks like (\{.*\}) \(docs", told)
    assert shown is not None
    at = folder(tmp_path, shown[1], source)
    checked(at, at, load(at)["mine"], None)


def test_what_is_no_json_is_named_before_anything_starts(tmp_path: Path) -> None:
    assert f"{tmp_path / 'mine.jsonl'}:2: this line is not JSON" in refused(folder(tmp_path, GOOD + "alert\n"))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("", "the file is empty, so there is nothing to score"),
        ("\n\n", "the file is empty, so there is nothing to score"),
        (GOOD.replace('"routine"', "null"), "none of its 1 lines has a value in `label`"),
    ],
)
def test_a_file_without_gold_is_an_error(lines: str, told: str, tmp_path: Path) -> None:
    assert told in refused(folder(tmp_path, lines))


def test_gold_that_is_no_label_is_named_with_the_policys_labels(tmp_path: Path) -> None:
    typo = GOOD.replace("routine", "rutine")
    told = refused(folder(tmp_path, GOOD + typo + typo))
    assert f"'rutine' (first at {tmp_path / 'mine.jsonl'}:2). Its labels are routine, alert" in told
    at = folder(tmp_path, GOOD + typo)
    checked(at, at, load(at)["mine"], 1)  # as far as it is used


def test_gold_is_looked_at_as_its_values_map_it(tmp_path: Path) -> None:
    yes = GOOD.replace('"routine"', "true")
    at = folder(tmp_path, yes, SOURCE + 'values = { true = "alert" }')
    checked(at, at, load(at)["mine"], None)
    assert "'routine' (first at" in refused(folder(tmp_path, GOOD, SOURCE + 'values = { true = "alert" }'))
    assert "'true' (first at" in refused(folder(tmp_path, yes, SOURCE + 'values = { true = "alarm" }'))


def test_of_many_unknown_values_a_few_are_told(tmp_path: Path) -> None:
    told = refused(folder(tmp_path, "".join(GOOD.replace("routine", f"word {n}") for n in range(1_200))))
    assert "'word 4'" in told
    assert "'word 5'" not in told
    assert " and 1,195 more. Its labels" in told


def test_a_positive_label_that_the_policy_lacks_is_an_error(tmp_path: Path) -> None:
    assert "use one of routine, alert" in refused(folder(tmp_path, source=SOURCE + 'positive = "alarm"'))


def test_ids_and_empty_lines_are_no_matter(tmp_path: Path) -> None:
    at = folder(tmp_path, GOOD + "\n" + GOOD)
    file, spec = at / "mine.jsonl", load(at)["mine"]
    assert [spec.unit_of(record) for record in labelled(file)] == ["0", "1"]
    assert len(list(labelled(file))) == len(list(sources.read(file)))
    assert gold_file(file, spec, None, tmp_path / "gold.jsonl").read_text().count("routine") == 2


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("[mine]\n", "[mine] lacks data, gold. It needs"),
        (SOURCE.replace("mine.jsonl", "mine.json"), "data = 'mine.json': labelled files are .jsonl"),
        (SOURCE.replace('"label"', '"class"'), "gold = 'class': `label` and `labels` alone"),
    ],
)
def test_a_source_that_would_be_read_otherwise_is_an_error(source: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(folder(tmp_path, source=source))
    assert told in str(error.value)


def test_outside_a_checkout_the_command_says_what_to_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder(tmp_path))
    with pytest.raises(ConfigurationError, match="with --policies"):
        CliRunner().invoke(evaluate, ["."], obj=Runtime(), catch_exceptions=False)


def test_the_documents_example_can_be_scored(tmp_path: Path) -> None:
    section = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8").partition("## Labelled files of your own")[2]
    files = re.findall(r"cat > mine/(\S+) <<'END'\n(.*?)^END$", section, re.M | re.S)
    for name, text in files:
        (tmp_path / name).write_text(text)
    checked(tmp_path, tmp_path, load(tmp_path)["web"], None)


def test_help_shows_a_line_and_names_no_folder_that_a_clone_lacks() -> None:
    shown = CliRunner().invoke(evaluate, ["--help"]).output
    assert '"label": "alert"}' in shown
    assert "../shared" not in shown
