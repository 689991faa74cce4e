"""Alerts for tests."""

from topics.messages import Alert

FINGERPRINT = "00000000000000aa"


def alert(number: int = 1, revision: int = 1, status: str = "firing", **said: object) -> Alert:
    """The `number`th alert; all of them have the same labels unless `labels` says otherwise."""
    values: dict[str, object] = {
        "id": f"{FINGERPRINT}-{number}",
        "status": status,
        "revision": revision,
        "fingerprint": FINGERPRINT,
        "labels": {"alertname": "outage", "severity": "critical", "stream": "logs", "tenant": "acme"},
        "annotations": {"summary": "no space left on <!channel> & co", "description": "3 messages"},
        "startsAt": f"2027-01-15T07:59:00.{number:03}Z",
        "endsAt": None if status == "firing" else "2027-01-15T07:59:30.000Z",
        "generatorURL": None,
        "count": 3,
        "evidence": ("logs/0/1", "logs/0/2"),
    }
    return Alert(**(values | said))  # type: ignore[arg-type]
