"""Which alerts a target hears of."""

from typing import Any

import pytest

from processors.notify import choice
from processors.policy import NotifyWhen, Silence
from tests.unit.notify.build import alert

ONE = alert(labels={"alertname": "disk", "severity": "error", "stream": "logs", "tenant": "acme", "team": "sre"})


@pytest.mark.parametrize(
    ("when", "heard"),
    [
        ({}, True),
        ({"severity_at_least": "critical"}, False),
        ({"severity_at_least": "error"}, True),
        ({"severity_at_least": "info"}, True),
        ({"streams": ["mail", "logs"]}, True),
        ({"streams": ["mail"]}, False),
        ({"tenants": ["acme"]}, True),
        ({"tenants": ["other"]}, False),
        ({"labels": {"team": "sre", "alertname": "disk"}}, True),
        ({"labels": {"team": "web"}}, False),
        ({"labels": {"room": "1"}}, False),
        ({"severity_at_least": "warning", "tenants": ["other"]}, False),
    ],
)
def test_all_that_is_named_must_hold(when: dict[str, Any], heard: bool) -> None:
    assert choice.hears(NotifyWhen.model_validate(when), ONE) is heard


def test_a_silence_holds_until_its_end() -> None:
    silences = [Silence.model_validate({"labels": {"team": "sre"}, "until": "2027-01-15T08:00:00Z"})]
    assert choice.silenced(silences, ONE, 1_799_999_999.9)
    assert not choice.silenced(silences, ONE, 1_800_000_000.0)
    assert not choice.silenced(silences, alert(), 0.0)
