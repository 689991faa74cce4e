"""How each kind is told of an alert."""

import base64
import hashlib
import hmac
from typing import Any

import orjson
import pytest

from processors.notify import webhook
from processors.notify.alertmanager import AlertmanagerForm
from processors.notify.form import Request
from processors.notify.pagerduty import PagerDutyForm
from processors.notify.slack import SlackForm
from processors.notify.webhook import WebhookForm
from tests.unit.notify.build import FINGERPRINT, alert
from topics import codec
from topics.limits import NOTIFY_SUMMARY_ALERTS_MAX
from topics.messages import Alert

NOW_S = 1_800_000_000.0  # 2027-01-15T08:00:00Z
KEY = bytes(range(32))


def body(request: Request) -> Any:
    assert request.headers["content-type"] == "application/json"
    return orjson.loads(request.body)


# --- Alertmanager --------------------------------------------------------------------------------


def test_alertmanager_is_told_an_end_in_the_future_while_an_alert_fires() -> None:
    assert body(AlertmanagerForm(60).alert(alert(), NOW_S)) == [
        {
            "labels": {"alertname": "outage", "severity": "critical", "stream": "logs", "tenant": "acme"},
            "annotations": {"summary": "no space left on <!channel> & co", "description": "3 messages"},
            "startsAt": "2027-01-15T07:59:00.001Z",
            "endsAt": "2027-01-15T08:04:00.000+00:00",
        }
    ]


@pytest.mark.parametrize(
    ("starts", "ends", "told"),
    [
        ("07:59:00.001Z", "07:59:30.000Z", "07:59:30.000+00:00"),
        ("07:59:00.001Z", "08:30:00.000Z", "08:00:00.000+00:00"),  # in the future it would go on firing
        ("08:01:00.000Z", "08:30:00.000Z", "08:01:00.000+00:00"),  # an end before the start would be refused
        ("09:00:00.000Z", None, "09:04:00.000+00:00"),  # the sender's clock is ahead
    ],
)
def test_alertmanager_is_told_an_end_that_it_takes_for_what_it_is(starts: str, ends: str | None, told: str) -> None:
    day = "2027-01-15T"
    one = alert(startsAt=day + starts, endsAt=ends and day + ends, status="resolved" if ends else "firing")
    assert body(AlertmanagerForm(60).alert(one, NOW_S))[0]["endsAt"] == day + told


def test_alertmanager_gets_names_that_it_takes_and_every_value() -> None:
    one = alert(labels={"k8s.pod": "a", "k8s_pod": "b", "k8s-pod": "c"})
    assert body(AlertmanagerForm(60).alert(one, NOW_S))[0]["labels"] == {
        "k8s_pod": "c",
        "k8s_pod_": "a",
        "k8s_pod__": "b",
    }


# --- Slack ---------------------------------------------------------------------------------------


def test_slack_shows_what_a_message_says_as_plain_text() -> None:
    message = body(
        SlackForm().alert(alert(annotations={"summary": "<!channel> & co", "runbook_url": "https://r/a|b"}), NOW_S)
    )
    assert message["text"] == "Firing: critical outage in logs: &lt;!channel&gt; &amp; co"
    header, section, link, context = message["blocks"]
    assert header["text"] == {"type": "plain_text", "text": "Firing: critical outage in logs", "emoji": False}
    assert section["text"] == {"type": "plain_text", "text": "<!channel> & co", "emoji": False}
    assert link["text"] == {"type": "mrkdwn", "text": "<https://r/a%7Cb|Runbook>"}
    assert "tenant=acme" in context["elements"][0]["text"]


def test_slack_is_told_no_longer_texts_than_it_takes() -> None:
    long = alert(annotations={"summary": "x" * 9_000, "description": "y" * 9_000}, labels={"alertname": "z" * 256})
    message = body(SlackForm().alert(long, NOW_S))
    texts = [block["text"]["text"] for block in message["blocks"] if "text" in block]
    assert len(texts[0]) == 150
    assert all(len(text) <= 3_000 for text in texts)


def test_slack_is_told_of_many_in_one_message() -> None:
    alerts = [alert(number, status="resolved" if number == 3 else "firing") for number in range(1, 31)]
    message = body(SlackForm().several(alerts, NOW_S))
    assert message["text"] == "30 more alerts: 29 firing, 1 resolved"
    lines = message["blocks"][1]["text"]["text"].splitlines()
    assert lines[2].startswith("Resolved: critical outage in logs")
    assert len(lines) == NOTIFY_SUMMARY_ALERTS_MAX + 1
    assert lines[-1] == "and 10 more"


# --- PagerDuty -----------------------------------------------------------------------------------


def test_pagerduty_is_triggered_and_resolved_under_one_key() -> None:
    form = PagerDutyForm("R0UTING")
    trigger = body(form.alert(alert(), NOW_S))
    assert (trigger["routing_key"], trigger["event_action"], trigger["dedup_key"]) == (
        "R0UTING",
        "trigger",
        f"{FINGERPRINT}-1",
    )
    payload = trigger["payload"]
    assert payload["summary"] == "Firing: critical outage in logs: no space left on <!channel> & co"
    assert (payload["source"], payload["severity"], payload["class"]) == ("logs", "critical", "outage")
    assert payload["timestamp"] == "2027-01-15T07:59:00.001Z"
    assert body(form.alert(alert(status="resolved"), NOW_S)) == {
        "routing_key": "R0UTING",
        "event_action": "resolve",
        "dedup_key": f"{FINGERPRINT}-1",
    }


def test_pagerduty_is_told_of_many_with_the_worst_severity_that_still_fires() -> None:
    def of(number: int, severity: str, status: str) -> Alert:
        return alert(number, status=status, labels={"alertname": "x", "severity": severity})

    alerts = [of(1, "critical", "resolved"), of(2, "warning", "firing"), of(3, "info", "firing")]
    event = body(PagerDutyForm("k").several(alerts, NOW_S))
    assert event["payload"]["severity"] == "warning"
    assert event["payload"]["summary"] == "3 more alerts, 2 of them firing, were held back by pages_per_hour"
    assert len(event["payload"]["custom_details"]) == 3


# --- webhook -------------------------------------------------------------------------------------


def test_a_webhook_gets_the_alert_with_a_signature_that_verifies() -> None:
    one = alert(revision=4)
    request = WebhookForm(KEY).alert(one, NOW_S + 0.7)
    assert codec.decode(Alert, request.body) == one
    assert request.headers["webhook-id"] == f"{one.id}/4"
    assert request.headers["webhook-timestamp"] == "1800000000"
    signed = f"{one.id}/4.1800000000.".encode() + request.body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"


def test_a_webhook_gets_many_whole() -> None:
    request = WebhookForm(KEY).several([alert(1), alert(2)], NOW_S)
    assert [each["id"] for each in body(request)["held"]] == [f"{FINGERPRINT}-1", f"{FINGERPRINT}-2"]


@pytest.mark.parametrize("secret", ["", "s3cret", "whsec_", "whsec_c2hvcnQ=", "whsec_***", KEY.hex()])
def test_what_is_no_signing_secret_is_known(secret: str) -> None:
    assert webhook.key_of(secret) is None


def test_a_signing_secret_is_the_base64_of_its_key() -> None:
    assert webhook.key_of("whsec_" + base64.b64encode(KEY).decode()) == KEY
