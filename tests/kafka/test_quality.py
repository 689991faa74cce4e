"""A stream that promises a quality, on a real Kafka: who answers, what is audited, and what workers share."""

import random
from collections import Counter
from typing import Any

from processors.policy import Policy, Quality
from processors.quality.standing import Standing, claim_of
from streams import quality_records, shared
from streams.quality_records import Certificate, Order
from tests.kafka import pipelines
from tests.kafka.bus import Bus
from tests.kafka.engines import until
from topics.catalog import AUDITS, LESSONS, QUALITY

LINES = [b"disk sda1 has failed", b"a user signed in with a password", b"replication is slow", b"all is well"]
SELDOM = 1e-9


def rules(bus: Bus) -> Policy:
    plain = pipelines.policy(bus)
    logs = plain.streams["logs"].model_copy(update={"quality": Quality(reference="nano-single", max_disagreement=0.1)})
    return plain.model_copy(update={"streams": {**plain.streams, "logs": logs}})


async def decided(bus: Bus, count: int) -> list[dict[str, Any]]:
    """The last of `count` decisions, once they are there: one for each line."""

    async def there() -> bool:
        return len(await pipelines.decisions(bus)) == count

    await until(there, f"{count} decisions")
    by_id = await pipelines.decisions(bus)
    return [by_id[f"{bus.prefix}logs/0/{offset}"] for offset in range(count - len(LINES), count)]


async def ask(bus: Bus) -> list[dict[str, Any]]:
    """The lines once more, and their decisions."""
    count = len(await pipelines.decisions(bus))  # before they are sent: they may be decided at once
    await bus.produce(bus.prefix + "logs", LINES)
    return await decided(bus, count + len(LINES))


async def certify(bus: Bus, policy: Policy, standing: Standing) -> None:
    stream = policy.streams["logs"]
    assert stream.quality is not None
    key, value = quality_records.certificate_record(
        Certificate(
            stream="logs",
            policy_version=stream.version,
            claim=claim_of(stream.quality),
            standing=standing,
            report={},
            state={},
            offset=0,
            at_ms=0,
        )
    )
    await shared.write(bus.brokers, bus.names.topic(QUALITY), key, value)


async def order(bus: Bus, wanted: Order) -> None:
    await shared.write(bus.brokers, bus.names.topic(QUALITY), *quality_records.order_record(wanted))


async def test_a_stream_that_promises_a_quality(bus: Bus) -> None:
    await pipelines.topics(bus)
    policy = rules(bus)
    async with pipelines.stand_in() as provider:
        async with pipelines.running(bus, provider.base_url, rules=policy):
            first = await ask(bus)
            assert Counter(each["decided_by"] for each in first) == {"nano": 4}
            assert {each["batch_size"] for each in first} == {1}, "until memory is proven the reference answers"
            assert Counter(each["decided_by"] for each in await ask(bus)) == {"nano": 4}
            audits = await pipelines.read(bus, AUDITS)
            assert {audit["id"] for audit in audits} == set(await pipelines.decisions(bus))
            assert not any(audit["below"] for audit in audits)
            shadows = [shadow for audit in audits for shadow in audit["shadows"] if shadow["rule"] == "free"]
            assert len(shadows) == 4, "what memory would have said the second time"

            [version] = {shadow["version"] for shadow in shadows}
            proven = Standing(free_version=version, free_score_min=0.5, audit_probability=SELDOM)
            await certify(bus, policy, proven)

            async def answers_from_memory() -> bool:
                return all(each["decided_by"] == "memory" for each in await ask(bus))

            await until(answers_from_memory, "memory to answer what is certified")
        async with pipelines.running(bus, provider.base_url, rules=policy, rng=random.Random(2)):  # another worker
            assert Counter(each["decided_by"] for each in await ask(bus)) == {"memory": 4}, (
                "certificates and what others have paid for are known before the first record"
            )
            await certify(bus, policy, Standing(free_version=version, free_score_min=0.5, audit_probability=1.0))

            async def is_audited() -> bool:
                before = len(await pipelines.read(bus, AUDITS))
                await ask(bus)
                return len(await pipelines.read(bus, AUDITS)) == before + 4

            await until(is_audited, "every answer to be audited")
            last = (await pipelines.read(bus, AUDITS))[-1]
            assert (last["below"], last["rule"], last["probability"], last["decided_by"]) == (True, "free", 1, "memory")
            assert last["label"] == last["reference_label"]

            await order(bus, Order(stream="logs", off=True))

            async def is_off() -> bool:
                return all(each["decided_by"] == "nano" for each in await ask(bus))

            await until(is_off, "the reference to answer everything")
    assert await pipelines.read(bus, LESSONS) == [], "an audit carries its text itself"
