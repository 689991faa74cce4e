"""Which names the mappings in Sluice's values have under a policy: what Kafka Connect's sinks make columns of."""

from collections.abc import Mapping

from processors.errors import ConfigurationError
from processors.policy import OWN_ALERT_LABELS, Policy
from topics.catalog import Topic
from topics.connect_schemas import Primitive, Schema, connect_schema

_OF_FIELD: Mapping[str, Primitive] = {
    "string": "string",
    "enum": "string",
    "number": "double",
    "integer": "int64",
    "boolean": "boolean",
}
_ANNOTATIONS = ("summary", "description", "runbook_url")  # of an Alert


def schema(topic: Topic, policy: Policy | None) -> Schema:
    """Connect's schema of a topic's values. Without a policy it has no extracted fields, and of an alert's labels
    those that every alert has. Raises ConfigurationError where two streams want one column with different types."""
    streams = policy.streams if policy else {}
    labels = dict.fromkeys(OWN_ALERT_LABELS)
    for stream in streams.values():
        alerts = stream.alerts
        labels |= dict.fromkeys((*alerts.group_by, *alerts.labels, *(["template"] if alerts.burst_at else [])))
    fields = _fields(policy) if policy else {}
    return connect_schema(
        topic,
        {
            "fields": fields,
            "labels": dict.fromkeys(labels, "string"),
            "annotations": dict.fromkeys(_ANNOTATIONS, "string"),
        },
    )


def _fields(policy: Policy) -> dict[str, Primitive]:
    """The extracted fields of all streams together."""
    found: dict[str, Primitive] = {}
    asked_by: dict[str, str] = {}
    for name, stream in policy.streams.items():
        for field, spec in stream.fields.items():
            kind = _OF_FIELD[spec.type]
            known = found.setdefault(field, kind)
            if {known, kind} == {"int64", "double"}:
                found[field] = "double"
            elif known != kind:
                raise ConfigurationError(
                    f"field '{field}' is {kind} in stream '{name}' and {known} in '{asked_by[field]}': a table has one"
                    " type a column. Rename one of them in the policy."
                )
            asked_by.setdefault(field, name)
    return found
