"""A wrong policy is told with line, value, rule and remedy; all problems at once."""

from pathlib import Path

import pytest

from processors.errors import ConfigurationError
from streams import settings

GOOD = """\
[streams.logs]
kind = "log"
topics = ["logs"]
[streams.logs.labels.routine]
means = "Normal operation"
[streams.logs.labels.alert]
means = "A failure that somebody must see now"
escalate = "mini"
"""


def problems(text: str) -> list[str]:
    with pytest.raises(settings.PolicyInvalid) as caught:
        settings.parse(text, Path("sluice.toml"))
    return [str(problem) for problem in caught.value.problems]


def test_eight_lines_are_a_policy() -> None:
    stream = settings.parse(GOOD, Path("sluice.toml")).streams["logs"]
    assert (stream.batch, stream.ordered, stream.confidence_min) == (None, "none", 0.7)


def test_streams_inherit_defaults() -> None:
    policy = settings.parse("[defaults]\nconfidence_min = 0.9\n" + GOOD, Path("sluice.toml"))
    assert policy.streams["logs"].confidence_min == 0.9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[kafka]\nprefx = 'x.'\n" + GOOD, ["line 2: kafka.prefx: there is no such key. Did you mean 'prefix'?"]),
        (
            GOOD + "[streams.logs.labels.odd]\nseverity = 'info'\n",
            [
                "line 9: streams.logs.labels.odd.means: this key is needed: say in words what the label is; "
                "the model reads nothing else about it."
            ],
        ),
        (
            GOOD.replace('"logs"]', '"logs"]\ndeadline = "2 seconds"'),
            [
                'line 4: streams.logs.deadline: "2 seconds" is no duration: write a number and a unit, '
                'as "2s", "15m" or "250ms"'
            ],
        ),
        (
            GOOD.replace('"logs"]', '"logs"]\nredact = ["iban"]'),
            [
                "line 4: streams.logs.redact: redaction before a model sees a text is not in this version. "
                "Remove the key."
            ],
        ),
        (
            GOOD + "[streams.logs.alerts]\ngroup_by = ['service']\n",
            ["line 10: streams.logs.alerts.group_by: the stream has no field 'service': add it under"],
        ),
        (
            GOOD + "[streams.logs.alerts]\ngroup_by = ['tenant']\n",
            ["line 9: streams.logs.alerts: group_by names 'tenant', which is Sluice's own"],
        ),
        (
            GOOD + "[streams.logs.alerts]\nlabels = { severity = 'high' }\n",
            ["line 9: streams.logs.alerts: labels sets 'severity', which every alert has already"],
        ),
        (
            GOOD + "[streams.logs.alerts]\nrunbook_url = 'https://x.example/{service}'\n",
            ["line 9: streams.logs.alerts: runbook_url names '{service}', which the alert does not have: use one of"],
        ),
        (
            GOOD + "[streams.logs.alerts]\nburst_at = 9\n[streams.logs.labels.burst]\nmeans = 'Much'\n",
            ["line 11: streams.logs.labels.burst: label 'burst' and alerts.burst_at would raise alerts of the"],
        ),
        (
            GOOD.replace('"log"', '"email"') + "[streams.logs.alerts]\nburst_at = 9\n",
            ["line 10: streams.logs.alerts.burst_at: it counts lines of one log template, and this stream is of"],
        ),
        (
            GOOD + "[[streams.logs.rules]]\nname = 'r'\nwhen = { text = '(' }\nthen = { label = 'alert' }\n",
            [
                "line 11: streams.logs.rules.0.when.text: '(' is no regular expression: "
                "missing ), unterminated subpattern at position 0"
            ],
        ),
        (
            GOOD + "[[streams.logs.rules]]\nname = 'r'\nwhen = { text = 'x' }\nthen = { label = 'alrt' }\n",
            [
                "line 12: streams.logs.rules.0.then: rule 'r' gives label 'alrt', which the stream does not have: "
                "use one of routine, alert"
            ],
        ),
        ("[streams.logs\n", ["line 1: this is not TOML"]),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, expected: list[str]) -> None:
    found = problems(text)
    assert len(found) == len(expected)
    assert all(one.startswith(wanted) for one, wanted in zip(found, expected, strict=True)), found


def test_every_problem_is_told_at_once() -> None:
    text = "[kafka]\nprefx = 'x.'\n" + GOOD.replace('kind = "log"', 'kind = "lag"') + "[budgets]\ntotal = {}\n"
    assert [one.split(":")[0] for one in problems(text)] == ["line 2", "line 4", "line 12"]


def test_a_topic_has_one_stream() -> None:
    [problem] = problems(GOOD + GOOD.replace("streams.logs", "streams.more"))
    assert "streams.more.topics: topic 'logs' belongs to stream 'logs' already" in problem


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no such file.*--config"):
        settings.load(tmp_path / "none.toml")


def test_a_folder_is_told_apart_and_the_file_in_it_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"this is a folder.*--config .*/sluice\.toml") as caught:
        settings.load(tmp_path)
    assert "Errno" not in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_a_policy(tmp_path: Path) -> None:
    path = tmp_path / "sluice.toml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert settings.load(path) == settings.parse(GOOD, path)


def test_brokers_come_from_the_environment() -> None:
    policy = settings.parse(GOOD, Path("sluice.toml"))
    assert settings.bootstrap_servers(policy.kafka, {"KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2"}) == "a:1,b:2"
    with pytest.raises(ConfigurationError, match="KAFKA_BOOTSTRAP_SERVERS is not set"):
        settings.bootstrap_servers(policy.kafka, {})


def test_whatever_decides_changes_the_version() -> None:
    version = settings.parse(GOOD, Path("x")).streams["logs"].version
    assert settings.parse(GOOD.replace("Normal", "Usual"), Path("x")).streams["logs"].version != version
    assert settings.parse(GOOD.replace('["logs"]', '["other"]'), Path("x")).streams["logs"].version == version
