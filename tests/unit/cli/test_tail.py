"""What `sluice tail` prints of a record."""

import orjson
import pytest

from processors.quality.standing import Standing
from streams.cli.tail import _line
from streams.engine.kafka_records import KafkaRecord
from streams.quality_records import Certificate, certificate_record

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
