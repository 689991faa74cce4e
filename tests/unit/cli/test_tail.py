"""What `sluice tail` prints of a record."""

import orjson
import pytest

from processors.quality.standing import Standing
from streams.cli.tail import _line
from streams.engine.kafka_records import KafkaRecord
from streams.quality_records import Certificate, certificate_record
from topics.dead_letters import dead_letter
from topics.messages import Rejected

COIN = "3f" * 32


def printed(topic: str, value: bytes, *, as_json: bool) -> str:
    return _line(KafkaRecord(topic, 0, 7, 0, b"logs", value, ()), as_json)


def certificate() -> bytes:
    whole = Certificate(
        stream="logs", policy_version="p", standing=Standing(), report={}, state={"n": 1}, offset=9, at_ms=1, coin=COIN
    )
    return certificate_record(whole)[1]


@pytest.mark.parametrize("topic", ["quality", "prod.quality"])
def test_the_secret_by_which_audits_are_drawn_is_hidden(topic: str) -> None:
    told = orjson.loads(printed(topic, certificate(), as_json=True))
    assert told == orjson.loads(certificate()) | {"coin": "(hidden)"}
    short = certificate().index(COIN.encode()) + len(COIN) - 3
    spoilt = (certificate()[:short], b'["coin", {"coin" :\n"' + COIN.encode() + b'"}]')
    for value in (certificate(), *spoilt):
        for as_json in (True, False):
            assert COIN[:8] not in printed(topic, value, as_json=as_json)


def test_another_topics_field_of_that_name_is_shown() -> None:
    value = b'{"coin": "heads", "text": "a"}'
    assert printed("trades", value, as_json=True) == value.decode()


def test_an_alert_is_shown_with_what_it_is_about() -> None:
    labels = {"alertname": "alert", "severity": "critical", "stream": "logs", "tenant": "acme"}
    alert = {"id": "0a-1", "status": "firing", "revision": 3, "labels": labels, "count": 14}
    line = printed("alerts", orjson.dumps(alert | {"annotations": {"summary": "Disk sda fails"}}), as_json=False)
    assert line == (
        "id=0a-1 revision=3 alertname=alert stream=logs tenant=acme severity=critical status=firing count=14 "
        "summary=Disk sda fails"
    )


def test_what_a_signal_says_itself_goes_before_its_labels() -> None:
    labels = {"alertname": "alert", "severity": "critical"}
    for severity, shown in ((None, "critical"), ("info", "info")):
        signal = orjson.dumps({"id": "logs/0/1", "labels": labels, "severity": severity})
        assert f"severity={shown}" in printed("signals", signal, as_json=False)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"\xff", "logs.dead/0/7 \ufffd"),
        (b'{"message": "a"}', 'logs.dead/0/7 {"message": "a"}'),
        (b'{"id": "logs/0/1", "label": "alert"}', "id=logs/0/1 label=alert"),
    ],
)
def test_a_dead_letter_is_shown_with_why_it_died(value: bytes, shown: str) -> None:
    error = "the value is no text. " * 9 + "Mend the sender"
    read = KafkaRecord("logs", 0, 4, 0, b"k", value, ())
    dead = dead_letter(read, Rejected("undecodable", error), stage="triage", topic="logs.dead")
    record = KafkaRecord("logs.dead", 0, 7, 0, b"k", value, dead.headers)
    assert _line(record, as_json=False) == f"reason=undecodable error={error} {shown}"
    assert _line(record, as_json=True) == value.decode(errors="replace")
