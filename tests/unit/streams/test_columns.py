"""The columns of a policy: its fields, and the labels that its alerts may have."""

from pathlib import Path
from typing import Any

import pytest

from processors.errors import ConfigurationError
from processors.policy import Policy
from streams import columns, settings
from topics.catalog import ALERTS, DECISIONS

POLICY = """
[streams.logs]
kind = "log"
topics = ["logs"]
[streams.logs.labels.outage]
means = "It is broken"
severity = "critical"
[streams.logs.labels.routine]
means = "It works"
[streams.logs.fields]
service = {{ type = "string" }}
count = {{ type = "integer" }}
[streams.logs.alerts]
group_by = ["service"]
burst_at = 50
labels = {{ team = "platform" }}

[streams.mail]
kind = "email"
topics = ["mail"]
[streams.mail.labels.order]
means = "An order"
[streams.mail.labels.other]
means = "Anything else"
[streams.mail.fields]
paid = {{ type = "boolean" }}
count = {{ type = "{count}" }}
"""


def policy(count: str = "number") -> Policy:
    return settings.parse(POLICY.format(count=count), Path("sluice.toml"))


def names(schema: dict[str, Any], field: str) -> dict[str, str]:
    found = next((one for one in schema["fields"] if one["field"] == field), {"fields": []})
    return {member["field"]: member["type"] for member in found["fields"]}


def test_a_decision_has_the_fields_of_all_streams() -> None:
    fields = names(columns.schema(DECISIONS, policy()), "fields")
    assert fields == {"service": "string", "count": "double", "paid": "boolean"}, "a number has room for an integer"


def test_an_alert_has_its_own_labels_and_those_of_the_policy() -> None:
    labels = names(columns.schema(ALERTS, policy()), "labels")
    assert list(labels) == ["alertname", "severity", "stream", "tenant", "service", "team", "template"]
    assert list(names(columns.schema(ALERTS, None), "labels")) == ["alertname", "severity", "stream", "tenant"]
    assert list(names(columns.schema(ALERTS, None), "annotations")) == ["summary", "description", "runbook_url"]


def test_without_a_policy_a_decision_has_no_fields() -> None:
    assert names(columns.schema(DECISIONS, None), "fields") == {}


def test_one_name_with_two_types_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'count' is string in stream 'mail' and int64 in 'logs'.*Rename"):
        columns.schema(DECISIONS, policy("string"))
