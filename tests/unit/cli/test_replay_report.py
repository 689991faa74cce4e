"""What `sluice replay` says of what it did."""

from collections import Counter

import pytest

from streams.cli.replay import _show
from streams.replay import Report
from streams.replay_choice import Going
from topics.dead_letters import DeadLetter

ERROR = "the value is no JSON object. " * 8 + "Mend the sender, or set streams.logs.format."


def report(count: int, *examples: Going) -> Report:
    return Report(sent=Counter({("undecodable", "logs"): count}), examples=list(examples))


@pytest.mark.parametrize(
    ("count", "dry_run", "told"),
    [
        (0, False, "0 dead letters went back"),
        (1, False, "1 dead letter went back"),
        (1, True, "1 dead letter would go back"),
        (1_200, False, "1,200 dead letters went back"),
    ],
)
def test_they_are_counted(capsys: pytest.CaptureFixture[str], count: int, dry_run: bool, told: str) -> None:
    _show(report(count), dry_run)
    assert capsys.readouterr().out.splitlines()[0] == told


def test_an_error_is_shown_whole(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    letter = DeadLetter(
        topic="logs",
        partition=0,
        offset=4,
        timestamp_ms=1,
        reason="undecodable",
        error=ERROR,
        headers=(),
        replays=0,
        replay_of="logs/0/4",
    )
    _show(report(1, Going("sluice.dead-letters/0/7", 1, letter, None, b"x")), dry_run=True)
    shown = capsys.readouterr().out.partition("for example\n")[2]
    assert " ".join(shown.split()) == f"sluice.dead-letters/0/7: undecodable, from logs/0/4: {ERROR}"
    assert max(map(len, shown.splitlines())) <= 60
