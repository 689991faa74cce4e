"""What a student may propose, by what the stream wants to know of a message."""

import random
from typing import Any

import pytest

from processors.policy import Stream
from processors.proposals import Proposer
from processors.rules import Rules
from processors.student.lessons import student_text
from processors.student.proposer import StudentProposer
from tests.unit.student.build import LABELS, student, text
from tests.unit.triage.build import item
from tests.unit.triage.build import stream as logs
from topics.limits import LESSON_CHARS_MAX, LESSON_MAIL_CHARS_MAX, MEMORY_TEXT_CHARS_MAX
from topics.messages import Verdict

ROUTINE, ALERT, NOISE = (text(random.Random(1), label) for label in LABELS)
FIELDS = {"host": {"means": "the machine"}}


def proposer(**settings: Any) -> StudentProposer:
    return StudentProposer(student(), logs(**settings))


def proposed(stream_: Stream | None = None, **settings: Any) -> dict[str, bool]:
    """Which labels it answers."""
    asked = StudentProposer(student(), stream_ or logs(**settings))
    return {
        label: (found := asked.propose(item(told))) is not None and found.verdict.label == label
        for label, told in zip(LABELS, (ROUTINE, ALERT, NOISE), strict=True)
    }


def test_it_proposes_what_the_student_thinks() -> None:
    asked: Proposer = proposer()
    found = asked.propose(item(ALERT))
    assert found is not None
    [(label, score)] = student().judge([ALERT])
    assert found.score == score > 0.9
    assert found.verdict == Verdict(
        tier="student",
        label=label,
        severity="critical",
        confidence=score,
        priority=90,
        fields={},
        summary=None,
        model=None,
    )
    assert label == "alert"


@pytest.mark.parametrize("severity", ["critical", "error", "warning", "info", None])
def test_a_priority_is_the_one_that_a_rule_would_give(severity: str | None) -> None:
    labels = {"routine": {"means": "fine"}, "alert": {"means": "broken", "severity": severity}}
    spec = logs(labels=labels, rules=[{"name": "all", "when": {"text": "."}, "then": {"label": "alert"}}])
    held = Rules(spec).first(item(ALERT))
    found = StudentProposer(student(), spec).propose(item(ALERT))
    assert held is not None
    assert held.verdict is not None
    assert found is not None
    assert found.verdict.priority == held.verdict.priority
    assert found.verdict.severity == held.verdict.severity


def test_without_fields_or_summary_every_label_is_answered() -> None:
    assert proposed() == {"routine": True, "alert": True, "noise": True}


@pytest.mark.parametrize("asks", [{"fields": FIELDS}, {"summary": "one sentence"}])
def test_what_an_alert_or_an_agent_reads_is_left_to_a_model(asks: dict[str, Any]) -> None:
    """A label with a severity raises alerts, and one that climbs is read by an agent."""
    assert proposed(**asks) == {"routine": True, "alert": False, "noise": True}
    labels = {
        "routine": {"means": "fine", "escalate": "mini"},
        "alert": {"means": "broken"},
        "noise": {"means": "harmless", "severity": "info"},
    }
    assert proposed(labels=labels, **asks) == {"routine": False, "alert": True, "noise": False}


def test_what_is_novel_is_not_proposed() -> None:
    assert proposer().propose(item("Überweisung des Kaufpreises bis Freitag")) is None
    assert proposer().propose(item("")) is None


def test_a_label_that_the_stream_no_longer_has_is_not_proposed() -> None:
    """A student of yesterday's policy."""
    left = logs(labels={"routine": {"means": "fine"}, "noise": {"means": "harmless"}})
    assert proposed(left) == {"routine": True, "alert": False, "noise": True}


def test_a_batch_is_answered_as_its_messages_alone() -> None:
    items = [item(told) for told in (ROUTINE, "", ALERT, NOISE, "strange words only")]
    asked = proposer()
    assert asked.propose_all(items) == [asked.propose(one) for one in items]
    assert asked.propose_all([]) == []
    assert asked.version == student().version


def test_of_a_mail_it_sees_the_beginning() -> None:
    mail = "a" * LESSON_MAIL_CHARS_MAX + "b"
    assert student_text(item(mail, kind="email")) == "a" * LESSON_MAIL_CHARS_MAX


def test_of_a_dialogue_it_sees_the_newest_turns() -> None:
    lines = [f"customer: turn {number} {'x' * 90}" for number in range(100)]
    seen = student_text(item("\n".join(lines), kind="dialogue"))
    assert len(seen) <= LESSON_CHARS_MAX
    assert seen.endswith(lines[-1])
    assert student_text(item("\n".join(lines[:3]), kind="dialogue")) == "\n".join(lines[:3])


def test_of_a_log_line_it_sees_what_stays_the_same() -> None:
    line = "Jan  1 00:00:00 host app[17]: link 3 down"
    assert student_text(item(line, memory_text="host app: link 3 down", template="host app: link <*> down")) == (
        "host app: link 3 down"
    )
    long = "word " * MEMORY_TEXT_CHARS_MAX
    digested = long[:MEMORY_TEXT_CHARS_MAX] + "0123456789abcdef" * 2
    assert student_text(item(long, memory_text=digested, template=long * 4)) == (long * 4)[:LESSON_CHARS_MAX]
