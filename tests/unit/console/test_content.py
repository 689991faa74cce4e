"""What messages say stays on the server, unless it is allowed."""

import pytest

from streams.console.view import View
from tests.fakes import ManualClock
from tests.unit.console import build
from tests.unit.console.build import SECRET


def filled(*, content: bool) -> View:
    """One message that went all the way up and raised an alert, and one that died."""
    view = build.view(ManualClock(), content=content)
    view.decision(build.decision(severity="critical", escalated_to="mini", label="outage"), 1)
    for tier in ("mini", "flagship"):
        view.escalation(build.escalation(to=tier), 2)
        view.resolution(build.resolution(tier=tier), 3)
    view.alert("", build.alert(), 4)
    view.dead_letter(build.dead_letter(), 5)
    return view


def test_no_content_leaves_the_process_by_default() -> None:
    shown = build.everything(filled(content=False))
    assert SECRET not in shown
    for seen in ("outage", "critical", "acme", "gpt-5.4-nano", "undecodable", "sql", "https://wiki/outage"):
        assert seen in shown


def test_the_switch_shows_it() -> None:
    view = filled(content=True)
    path = view.message("logs/0/0")
    assert path is not None
    assert path["decision"]["summary"] == path["decision"]["source"]["key"] == SECRET
    assert path["escalations"]["mini"]["text"] == SECRET
    assert path["resolutions"]["flagship"]["plan"] == [{"status": "done", "goal": SECRET, "result": SECRET}]
    assert view.state()["alerts"]["listed"][0]["labels"]["cause"] == SECRET
    assert view.state()["letters"]["listed"][0]["error"] == SECRET


def test_a_field_that_nobody_has_thought_of_is_not_shown_even_then() -> None:
    path = filled(content=True).message("logs/0/0")
    assert path is not None
    assert "added_later" not in path["decision"]


def test_the_labels_of_the_policy_are_no_content_and_those_of_messages_are_counted_only() -> None:
    [alert] = filled(content=False).state()["alerts"]["listed"]
    own = {"alertname": "outage", "severity": "critical", "stream": "logs", "tenant": "acme"}
    assert alert["labels"] == own | {"team": "ops"}
    assert alert["grouped"] == 2


def test_a_runbook_whose_address_has_something_of_the_message_in_it_is_content() -> None:
    view = build.view(ManualClock())
    view.alert("", build.alert(annotations={"runbook_url": f"https://wiki/{SECRET}"}), 1)
    assert SECRET not in build.everything(view)


@pytest.mark.parametrize("content", [True, False])
def test_long_texts_are_cut(content: bool) -> None:
    view = build.view(ManualClock(), content=content)
    view.decision(build.decision(summary="a" * 100_000, severity="critical"), 1)
    assert len(build.everything(view)) < 20_000
