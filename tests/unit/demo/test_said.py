"""What `sluice demo` and `sluice up` say."""

import io
from pathlib import Path

from rich.console import Console

from local import up
from local.collect import Collected
from local.demo import policy as demo_policy
from local.demo import progress, report


def said(own: Path | None) -> str:
    """What `up` says once it is ready, on a narrow terminal: what is there to be copied must not be broken up."""
    console = Console(file=io.StringIO(), width=40)
    up._say_ready(console, demo_policy.load(), "127.0.0.1:9092", "simulated", "http://localhost:6066", own)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_a_policy_of_ones_own_the_other_commands_are_told_of_the_demos() -> None:
    text = said(None)
    assert "policy: the demo's, as there is no sluice.toml here" in text
    assert f"    sluice -c {demo_policy.FILE} ingest FILE --stream logs\n" in text


def test_ones_own_policy_is_named_and_its_changes_are_promised() -> None:
    assert "policy: team.toml, whose changes are taken over" in said(Path("team.toml"))


def test_an_own_policy_that_is_not_the_usual_one_is_told_to_the_other_commands() -> None:
    assert "    sluice -c team.toml tail decisions\n" in said(Path("team.toml"))
    assert "    sluice tail decisions\n" in said(Path("sluice.toml"))


def test_how_many_alerts_were_revised_stands_apart_from_how_many_fire() -> None:
    seen = Collected(alerts={"a": {"status": "firing", "revision": 2, "reviewed_by": None}})
    told = report.summarise(seen, provider="simulated", streams={}, one_call_each_usd=0.0, seconds=1.0)
    console = Console(file=io.StringIO(), width=200)
    console.print(report.table(told))
    assert isinstance(console.file, io.StringIO)
    assert "1: firing 1; 1 of them revised" in console.file.getvalue()


def test_before_anything_is_decided_no_means_are_told() -> None:
    assert "decided 0  escalated" in progress._line(Collected(), 1.0)
