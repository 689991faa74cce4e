"""What a worker takes for certified, from the records of `quality`."""

from dataclasses import replace
from typing import Any

import pytest

from processors.policy import Policy, Quality
from processors.quality.standing import UNPROVEN, OtherBatches, Standing, claim_of
from streams import quality_records
from streams.engine.kafka_records import KafkaRecord
from streams.quality_records import Certificate, Order
from streams.shared import Standings
from tests.fakes import ManualClock
from topics.records import Record

LABELS = {"alert": {"means": "An operator must look"}, "routine": {"means": "Nobody needs to look"}}
CERTIFIED = Standing(free_version="m.s", free_score_min=0.9, batch_certified=True, audit_probability=0.01)


def policy(quality: Quality = Quality(reference="mini"), **stream: Any) -> Policy:  # noqa: B008 frozen
    plain = Policy.model_validate({"streams": {"logs": {"kind": "log", "topics": ["logs"], "labels": LABELS} | stream}})
    logs = plain.streams["logs"].model_copy(update={"quality": quality})
    return plain.model_copy(update={"streams": {"logs": logs}})


def certificate(rules: Policy, standing: Standing = CERTIFIED, offset: int = 9) -> Certificate:
    stream = rules.streams["logs"]
    assert stream.quality is not None
    return Certificate(
        stream="logs",
        policy_version=stream.version,
        claim=claim_of(stream.quality),
        standing=standing,
        report={},
        state={"n": 1},
        offset=offset,
        at_ms=0,
    )


def record(written: Certificate | Order) -> Record:
    if isinstance(written, Order):
        key, value = quality_records.order_record(written)
    else:
        key, value = quality_records.certificate_record(written)
    return KafkaRecord("quality", 0, 0, 0, key, value, ())


class Heard:
    """What is told to a worker."""

    def __init__(self, rules: Policy) -> None:
        self.clock = ManualClock()
        self.told: list[Standing] = []
        self.standings = Standings(rules, self.clock, lambda _, standing: self.told.append(standing))

    async def hear(self, *written: Certificate | Order) -> Standing:
        self.standings.take([record(each) for each in written])
        await self.standings.settle()
        return self.standings.standing("logs")


@pytest.fixture
def rules() -> Policy:
    return policy()


async def test_nothing_is_certified_before_it_is_heard(rules: Policy) -> None:
    heard = Heard(rules)
    assert heard.standings.standing("logs") == UNPROVEN
    assert heard.standings.standing("nobody's") == UNPROVEN
    await heard.hear()
    assert heard.told == []


async def test_a_certificate_is_told_once_and_its_change_again(rules: Policy) -> None:
    heard, lost = Heard(rules), Standing(candidate="m.t")
    for offset in range(3):
        assert await heard.hear(certificate(rules, offset=offset)) == CERTIFIED
    assert await heard.hear(certificate(rules, lost)) == lost
    assert heard.told == [CERTIFIED, lost]


async def test_of_what_is_read_together_only_the_last_is_told(rules: Policy) -> None:
    heard = Heard(rules)
    await heard.hear(certificate(rules, replace(CERTIFIED, free_version="older")), certificate(rules))
    assert heard.told == [CERTIFIED]


async def test_it_certifies_nothing_of_another_policy(rules: Policy) -> None:
    heard, other = Heard(rules), policy(confidence_min=0.9)
    assert other.streams["logs"].version != rules.streams["logs"].version
    assert await heard.hear(certificate(other)) == UNPROVEN
    heard.standings.adopt(other)
    assert heard.told == [CERTIFIED]
    heard.standings.adopt(rules)
    assert heard.told == [CERTIFIED, UNPROVEN]


@pytest.mark.parametrize(
    "other",
    [
        Quality(reference="flagship"),
        Quality(reference="mini", max_disagreement=0.01),
        Quality(reference="mini", confidence=0.99),
    ],
)
async def test_it_certifies_nothing_under_another_claim(rules: Policy, other: Quality) -> None:
    heard, claiming = Heard(rules), policy(other)
    assert claiming.streams["logs"].version == rules.streams["logs"].version
    assert await heard.hear(certificate(claiming)) == UNPROVEN
    heard.standings.adopt(claiming)
    assert heard.told == [CERTIFIED]
    assert await heard.hear(replace(certificate(claiming), claim="")) == UNPROVEN, "nor one that names none"


async def test_a_claim_that_changed_beside_what_is_no_claim_stands(rules: Policy) -> None:
    heard = Heard(policy(Quality(reference="mini", audit_usd_per_day=3.0)))
    assert await heard.hear(certificate(rules)) == CERTIFIED


async def test_workers_share_the_streams_coin(rules: Policy) -> None:
    heard, coin = Heard(rules), "ab" * 32
    assert (await heard.hear(replace(certificate(rules), coin=coin))).coin == coin
    assert coin not in repr((heard.told, replace(certificate(rules), coin=coin)))
    await heard.hear(replace(certificate(rules), coin="no secret"))
    assert heard.standings.standing("logs").coin == coin, "what cannot be read leaves what is known"


async def test_it_ends_by_its_own_time_though_nothing_more_is_heard(rules: Policy) -> None:
    heard = Heard(rules)
    ends_ms = round(heard.clock.time() * 1000) + 60_000
    ending = replace(CERTIFIED, expires_at_ms=ends_ms, candidate="m.t")
    assert await heard.hear(certificate(rules, ending)) == ending
    await heard.clock.advance(60)
    await heard.standings.settle()
    assert heard.told == [ending, Standing(candidate="m.t")]


async def test_switched_off_nothing_answers_below_the_reference_whatever_is_certified_later(rules: Policy) -> None:
    heard = Heard(rules)
    await heard.hear(certificate(rules))
    off = await heard.hear(Order(stream="logs", off=True))
    assert (off.free_version, off.batch_certified, off.audit_probability) == (None, False, 1.0)
    assert (await heard.hear(certificate(rules))).free_version is None
    assert heard.standings.standing("logs").off
    assert await heard.hear(Order(stream="logs")) == CERTIFIED


async def test_records_that_cannot_be_read_leave_what_is_known(rules: Policy) -> None:
    heard = Heard(rules)
    await heard.hear(certificate(rules))
    strange = [(b"logs", b"no json"), (b"logs", b"{}"), (b"command/logs", b"[]"), (None, None), (b"\xff", b"\xff")]
    heard.standings.take([KafkaRecord("quality", 0, 0, 0, *each, ()) for each in strange])
    assert await heard.hear() == CERTIFIED


async def test_fields_of_an_older_release_are_as_it_meant_them(rules: Policy) -> None:
    """Since when batches are certified was not told; they answered everything at once."""
    other = OtherBatches("b2", certified=True, size_max=4)
    standing = replace(CERTIFIED, batch_version="b1", batch_others=(other,))
    key, value = quality_records.certificate_record(certificate(rules, standing))
    older = value.replace(b',"certified_ms":null', b"").replace(b',"batch_certified_ms":null', b"")
    assert len(older) == len(value) - len(',"certified_ms":null,"batch_certified_ms":null')
    heard = Heard(rules)
    heard.standings.take([KafkaRecord("quality", 0, 0, 0, key, older, ())])
    assert await heard.hear() == standing
    assert heard.standings.standing("logs").certified_batches == {"b1": None, "b2": None}


async def test_fields_of_a_newer_release_are_left_out(rules: Policy) -> None:
    key, value = quality_records.certificate_record(certificate(rules))
    newer = value.replace(b'"free_version"', b'"of_tomorrow":1,"free_version"')
    assert newer != value
    heard = Heard(rules)
    heard.standings.take([KafkaRecord("quality", 0, 0, 0, key, newer, ())])
    assert await heard.hear() == CERTIFIED
