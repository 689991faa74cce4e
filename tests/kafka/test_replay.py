"""Dead letters go back on a real broker: byte for byte, once, whatever happens to the command."""

import asyncio
import functools
import os
import random
import re
import signal
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from processors.clock import SystemClock
from processors.errors import ConfigurationError
from streams import replay as replays
from streams import topics_admin
from streams.replay import Report
from streams.replay_choice import Stays, Wanted
from streams.replay_sender import ReplayEnded, sender
from tests.kafka import engines, pipelines
from tests.kafka.bus import Bus, Isolation, Send
from tests.kafka.engines import until
from tests.kafka.pipelines import Said
from topics import codec, limits
from topics.catalog import DEAD_LETTERS, DECISIONS, ESCALATIONS_FLAGSHIP, ESCALATIONS_MINI, REPLAYS
from topics.dead_letters import REPLAY_OF, dead_letter
from topics.messages import DeadLetterReason, Rejected, Replay

SECONDS_MAX = 60.0


@dataclass
class Died:
    """A record that became a dead letter."""

    topic: str
    value: bytes | None = b"v"
    key: bytes | None = b"k"
    partition: int = 0
    offset: int = 0
    timestamp: int = 1_700_000_000_000
    headers: Sequence[tuple[str, bytes]] = field(default_factory=list)
    reason: DeadLetterReason = "internal"

    def letter(self, *, value: bool = True) -> Send:
        """As a stage writes it; without its value where it was too large even for that."""
        out = dead_letter(self, Rejected(self.reason, "why it died"), stage="triage", topic="")
        return Send(out.value if value else None, out.key, headers=tuple(out.headers))


@dataclass(frozen=True, slots=True)
class Shop:
    """A broker with all topics, and the policy of three streams."""

    bus: Bus
    folder: Path

    @property
    def logs(self) -> str:
        return self.bus.prefix + "logs"

    @property
    def mail(self) -> str:
        return self.bus.prefix + "mail"

    async def another(self, name: str, bytes_max: int) -> str:
        """One more input, which admits records of that size."""
        topic = await self.bus.topic(name, config={"max.message.bytes": str(bytes_max)})
        await until(functools.partial(self.there, topic))
        return topic

    async def there(self, topic: str) -> bool:
        async with topics_admin.connected(self.bus.brokers) as admin:
            return any(found["topic"] == topic for found in await admin.describe_topics())

    async def delete(self, topic: str) -> None:
        async with topics_admin.connected(self.bus.brokers) as admin:
            await admin.delete_topics([topic])
        while await self.there(topic):  # noqa: ASYNC110 a broker sets no event
            await asyncio.sleep(0.02)

    async def bury(self, died: Iterable[Died | Send]) -> None:
        """Writes dead letters."""
        letters = [one if isinstance(one, Send) else one.letter() for one in died]
        await self.bus.produce(self.bus.names.topic(DEAD_LETTERS), letters)

    async def replay(self, wanted: Wanted = Wanted(), *, dry_run: bool = False, also: str | None = None) -> Report:  # noqa: B008 frozen
        """In this process. `also`: another topic of the logs."""
        return await replays.replay(
            self.bus.brokers,
            self.bus.names,
            {self.logs: "logs", self.mail: "mail"} | ({also: "logs"} if also else {}),
            wanted,
            dry_run=dry_run,
            clock=SystemClock(),
            stop=asyncio.Event(),
        )

    async def sluice(self, *arguments: str) -> Said:
        """As a user runs it."""
        env = {"KAFKA_BOOTSTRAP_SERVERS": self.bus.bootstrap_servers}
        return await pipelines.sluice("replay", *arguments, folder=self.folder, env=env)

    async def records(self, topic: str) -> list[ConsumerRecord]:
        """What is committed, once no transaction is under way: a commit returns before readers see it."""

        async def ends(isolation: Isolation) -> Mapping[TopicPartition, int]:
            async with AIOKafkaConsumer(
                bootstrap_servers=self.bus.bootstrap_servers, isolation_level=isolation
            ) as consumer:
                await topics_admin.assign(consumer, [topic], from_beginning=True)
                found: Mapping[TopicPartition, int] = await consumer.end_offsets(list(consumer.assignment()))
                return found

        async def settled() -> bool:
            return await ends("read_committed") == await ends("read_uncommitted")

        await until(settled)
        return await self.bus.read(topic)

    async def values(self, topic: str) -> list[bytes]:
        return [record.value for record in await self.records(topic)]

    async def replays(self) -> list[Replay]:
        """What is noted of what was sent back."""
        return [codec.decode(Replay, value) for value in await self.bus.values(self.bus.names.topic(REPLAYS)) if value]


@pytest.fixture
async def shop(bus: Bus, tmp_path: Path) -> Shop:
    await bus.owned(partitions=3, inputs=[bus.prefix + name for name in ("logs", "mail", "chat")])
    (tmp_path / "sluice.toml").write_text(pipelines.policy_text(bus))
    return Shop(bus, tmp_path)


def told(record: ConsumerRecord) -> Mapping[str, bytes]:
    return dict(record.headers)


async def test_a_dead_letter_goes_back_as_it_came_and_only_once(shop: Shop) -> None:
    own = (("tenant", b"acme"), ("__connect.errors.topic", b"its own"), ("tenant", b"twice"), ("odd", b"\xff"))
    await shop.bury([Died(shop.logs, b"\xff\x00raw", b"\xffkey", partition=2, offset=9, headers=own)])
    report = await shop.replay()
    assert report.sent == {("internal", shop.logs): 1}
    assert report.left == {}
    (record,) = await shop.records(shop.logs)
    assert (record.key, record.value, record.partition) == (b"\xffkey", b"\xff\x00raw", 2)
    of = f"{shop.logs}/2/9".encode()
    assert list(record.headers) == [*own, ("sluice-replay-of", of), ("sluice-replays", b"1")]

    again = await shop.replay()
    assert (again.sent, again.left) == ({}, {Stays("replayed", shop.logs): 1})
    assert len(await shop.records(shop.logs)) == 1


async def test_a_replay_says_where_its_record_is(shop: Shop) -> None:
    await shop.bus.produce(shop.logs, [Send(b"other", partition=1), Send(b"other", partition=1)])
    await shop.bury([Died(shop.logs, partition=1, offset=1, reason="policy")])
    await shop.replay()
    (letter,) = await shop.records(shop.bus.names.topic(DEAD_LETTERS))
    (noted,) = await shop.replays()
    assert noted.id == f"{letter.topic}/{letter.partition}/{letter.offset}"
    assert (noted.letter_at_ms, noted.of, noted.replays) == (letter.timestamp, f"{shop.logs}/1/1", 1)
    assert (noted.to, noted.reason) == (f"{shop.logs}/1/2", "policy")
    assert [record.value for record in await shop.records(shop.logs) if record.offset == 2] == [b"v"]


async def test_filters_together_and_the_rest_afterwards(shop: Shop) -> None:
    mini, flagship = (shop.bus.names.topic(topic) for topic in (ESCALATIONS_MINI, ESCALATIONS_FLAGSHIP))
    escalation = orjson.dumps({"stream": "logs", "more": "of it"})
    await shop.bury(
        [
            Died(shop.logs, b"a", reason="attempts_exhausted"),
            Died(shop.logs, b"b", reason="undecodable"),
            Died(shop.mail, b"c", reason="attempts_exhausted"),
            Died(mini, escalation, reason="attempts_exhausted"),
            Died(flagship, b"broken", reason="unknown_shape"),
        ]
    )
    chosen = await shop.replay(Wanted(reasons=["attempts_exhausted"], streams=["logs"]))
    assert chosen.sent == {("attempts_exhausted", shop.logs): 1, ("attempts_exhausted", mini): 1}
    assert await shop.values(mini) == [escalation]
    rest = await shop.replay()
    assert rest.sent.keys() == {
        ("undecodable", shop.logs),
        ("attempts_exhausted", shop.mail),
        ("unknown_shape", flagship),
    }
    assert sorted(await shop.values(shop.logs)) == [b"a", b"b"]


async def test_by_the_time_of_death(shop: Shop) -> None:
    await shop.bury([Died(shop.logs, b"early", key=bytes([n])) for n in range(6)])
    await asyncio.sleep(0.01)
    between = int(SystemClock().time() * 1000)
    await shop.bury([Died(shop.logs, b"late", key=bytes([n])) for n in range(6)])
    assert (await shop.replay(Wanted(since_ms=between), dry_run=True)).sent.total() == 6
    assert (await shop.replay(Wanted(since_ms=between + 60_000), dry_run=True)).sent.total() == 0
    await shop.replay(Wanted(until_ms=between))
    assert await shop.values(shop.logs) == [b"early"] * 6


async def test_a_limit_takes_some_and_the_next_run_the_others(shop: Shop) -> None:
    await shop.bury([Died(shop.logs, b"%d" % n, key=b"%d" % n) for n in range(10)])
    assert (await shop.replay(Wanted(limit=4))).sent.total() == 4
    assert len(await shop.values(shop.logs)) == 4
    assert (await shop.replay()).sent.total() == 6
    assert sorted(map(int, await shop.values(shop.logs))) == list(range(10))


async def test_a_dry_run_writes_nothing_and_leaves_another_run_alone(shop: Shop) -> None:
    await shop.bury([Died(shop.logs, b"x")])
    async with topics_admin.connected(shop.bus.brokers) as admin:
        there = await topics_admin.existing(admin, [shop.logs, shop.bus.names.topic(REPLAYS)])
    async with sender(shop.bus.brokers, shop.bus.names, there, SystemClock()) as other:
        dry = await shop.replay(dry_run=True)
        assert (dry.sent.total(), [going.letter.reason for going in dry.examples]) == (1, ["internal"])
        assert await shop.values(shop.logs) == []
        await other.send(dry.examples)
    assert len(await shop.values(shop.logs)) == 1


async def test_one_keys_dead_letters_keep_their_order(shop: Shop) -> None:
    keys = [b"%d" % n for n in range(5)]
    buried = [Died(shop.logs, b"%d" % n, key=random.Random(n).choice(keys), partition=n % 3) for n in range(3_000)]
    for one in buried:
        one.partition = keys.index(one.key or b"") % 3
    await shop.bury(buried)
    await shop.replay()
    sent = await shop.records(shop.logs)
    for key in keys:
        wanted = [one.value for one in buried if one.key == key]
        assert [record.value for record in sent if record.key == key] == wanted


async def test_a_topic_with_fewer_partitions_gets_them_by_their_key(shop: Shop) -> None:
    await shop.bury([Died(shop.logs, key=b"%d" % n, partition=7) for n in range(8)])
    await shop.bus.produce(shop.mail, [Send(b"", key=b"%d" % n) for n in range(8)])  # by the key, as Java does
    await shop.replay()
    by_key = {record.key: record.partition for record in await shop.records(shop.mail)}
    assert {record.key: record.partition for record in await shop.records(shop.logs)} == by_key


async def test_a_value_that_did_not_fit_is_fetched_where_the_record_still_is(shop: Shop) -> None:
    await shop.bus.produce(shop.logs, [Send(b"there", b"k", partition=1)])
    (there,) = await shop.records(shop.logs)
    found = Died(shop.logs, partition=1, offset=0, timestamp=there.timestamp)
    another = Died(shop.logs, partition=1, offset=0, timestamp=there.timestamp - 1)
    gone = Died(shop.logs, partition=1, offset=50)
    await shop.bury([one.letter(value=False) for one in (found, another, gone)])
    report = await shop.replay()
    assert report.left == {Stays("value_gone", shop.logs): 2}
    assert await shop.values(shop.logs) == [b"there", b"there"]


async def test_what_is_too_large_stays_and_the_rest_goes(shop: Shop) -> None:
    small = await shop.another("small", 2_000)
    noise = random.Random(1).randbytes(2_500)
    await shop.bury([Died(small, value, b"k") for value in (b"a", noise, b"repeated " * 500, b"b")])
    report = await shop.replay(also=small)
    assert report.left == {Stays("too_large", small): 1}
    assert await shop.values(small) == [b"a", b"repeated " * 500, b"b"]


@pytest.mark.slow
async def test_the_largest_record_goes_back(shop: Shop) -> None:
    large = await shop.another("large", limits.DEAD_LETTER_VALUE_BYTES_MAX)
    value = random.Random(2).randbytes(limits.INPUT_VALUE_BYTES_MAX)
    await shop.bury([Died(large, b"first"), Died(large, value), Died(large, b"last")])
    report = await shop.replay(also=large)
    assert (report.sent.total(), report.left) == (3, {})
    assert await shop.values(large) == [b"first", value, b"last"]


async def test_what_has_nowhere_to_go_stays(shop: Shop) -> None:
    await shop.delete(shop.mail)
    await shop.bury([Died(shop.mail), Died("elsewhere"), Send(b"no dead letter"), Died(shop.logs)])
    report = await shop.replay()
    assert report.sent == {("internal", shop.logs): 1}
    assert report.left == {
        Stays("topic_missing", shop.mail): 1,
        Stays("unread", "elsewhere"): 1,
        Stays("foreign", ""): 1,
    }


async def test_dead_letters_made_anew_are_not_taken_for_those_that_went_back(shop: Shop) -> None:
    await shop.bury([Died(shop.logs, b"old")])
    await shop.replay()
    await shop.delete(shop.bus.names.topic(DEAD_LETTERS))
    await shop.bus.owned(partitions=3)
    await shop.bury([Died(shop.logs, b"new")])
    await shop.replay()
    assert await shop.values(shop.logs) == [b"old", b"new"]


async def test_a_run_that_another_has_fenced_says_so_and_sends_nothing_more(shop: Shop) -> None:
    await shop.bury([Died(shop.logs, b"%d" % n, key=b"%d" % n) for n in range(10)])
    async with topics_admin.connected(shop.bus.brokers) as admin:
        there = await topics_admin.existing(admin, [shop.logs])
    some = (await shop.replay(dry_run=True)).examples
    async with sender(shop.bus.brokers, shop.bus.names, there, SystemClock()) as first:
        await shop.replay()
        with pytest.raises(ReplayEnded, match=r"another `sluice replay` has begun .* 0 dead letters were sent back"):
            await first.send(some)
    assert len(await shop.values(shop.logs)) == 10


async def test_what_a_run_leaves_open_is_undone_and_sent_once(shop: Shop) -> None:
    await shop.bury([Died(shop.logs, b"%d" % n, key=b"%d" % n) for n in range(10)])
    async with topics_admin.connected(shop.bus.brokers) as admin:
        there = await topics_admin.existing(admin, [shop.logs])
    async with sender(shop.bus.brokers, shop.bus.names, there, SystemClock()) as first:
        producer = first._producer
        await producer.begin()
        batch = producer.create_batch()
        batch.append(timestamp=None, key=b"k", value=b"never", headers=[])
        await (await producer.send_batch(batch, shop.logs, partition=0))  # and then it hangs
        assert (await shop.replay()).sent.total() == 10
    assert b"never" in await shop.bus.values(shop.logs, "read_uncommitted")
    assert sorted(map(int, await shop.values(shop.logs))) == list(range(10))


async def test_killed_in_the_middle_and_run_again(shop: Shop) -> None:
    count = 24_000
    await shop.bury([Died(shop.logs, b"%d" % n, key=b"%d" % (n % 97), partition=n % 3) for n in range(count)])
    kills = 0
    for pause_s in (0.0, 0.05, 0.0):
        process = await _start(shop)
        await until(functools.partial(_sent_or_ended, shop, process, (kills + 1) * count // 10))
        await asyncio.sleep(pause_s)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        await process.wait()
    between = len(await shop.replays())
    said = await shop.sluice()
    assert said.code == 0, said
    values = await shop.values(shop.logs)
    print(f"{kills} kills, {between:,} of {count:,} sent back before the last run, {len(values):,} in all")
    assert kills >= 2
    assert 0 < between < count
    assert Counter(values) == Counter(b"%d" % n for n in range(count))
    assert len({noted.id for noted in await shop.replays()}) == count


async def test_two_at_once(shop: Shop) -> None:
    count = 20_000
    await shop.bury([Died(shop.logs, b"%d" % n, key=b"%d" % (n % 97), partition=n % 3) for n in range(count)])
    first = await _start(shop)
    await until(shop.replays)
    first.send_signal(signal.SIGSTOP)  # else it may be done before the second has begun
    second = await shop.sluice("--json")
    first.send_signal(signal.SIGCONT)
    assert first.stderr is not None
    error = (await first.stderr.read()).decode()
    assert await first.wait() == 2, error
    assert "another `sluice replay` has begun and took over" in error
    assert "Traceback" not in error
    by_first = int(re.findall(r"([\d,]+) dead letters were sent back by this run", error)[0].replace(",", ""))
    by_second = orjson.loads(second.out)["count"]
    print(f"the first sent {by_first:,} and was fenced, the second {by_second:,}")
    assert by_first + by_second == count
    assert Counter(await shop.values(shop.logs)) == Counter(b"%d" % n for n in range(count))


async def test_told_to_stop_it_ends_after_a_transaction_and_says_so(shop: Shop) -> None:
    count = 20_000
    await shop.bury([Died(shop.logs, b"%d" % n, key=b"%d" % (n % 97), partition=n % 3) for n in range(count)])
    process = await _start(shop, "--json")
    await until(shop.replays)
    process.send_signal(signal.SIGINT)
    out, _ = await asyncio.wait_for(process.communicate(), SECONDS_MAX)
    report = orjson.loads(out)
    assert (process.returncode, report["finished"]) == (0, False)
    assert 0 < report["count"] < count
    assert len(await shop.values(shop.logs)) == report["count"]


async def test_what_is_sent_back_is_decided(shop: Shop) -> None:
    await shop.bury(
        [Died(shop.logs, b"disk failure on node 7: an operator must see it now", reason="attempts_exhausted")]
    )
    async with pipelines.stand_in() as provider, pipelines.running(shop.bus, provider.base_url):
        await shop.replay()
        await engines.count(shop.bus, shop.bus.names.topic(DECISIONS), 1)
    (noted,) = await shop.replays()
    assert {key: decision["label"] for key, decision in (await pipelines.decisions(shop.bus)).items()} == {
        noted.to: "alert"
    }


async def test_poison_comes_back_only_so_often(shop: Shop) -> None:
    """Every replay dies again, as it would in a stage."""
    await shop.bury([Died(shop.logs, b"poison")])
    for times in range(1, limits.REPLAYS_MAX + 1):
        assert (await shop.replay()).sent.total() == 1
        record = (await shop.records(shop.logs))[-1]
        assert told(record)["sluice-replays"] == b"%d" % times
        assert told(record)[REPLAY_OF] == f"{shop.logs}/0/0".encode()
        await shop.bury([Died(shop.logs, record.value, record.key, 0, record.offset, headers=record.headers)])
    last = await shop.replay()
    assert (last.sent.total(), last.left[Stays("poison", shop.logs)]) == (0, 1)
    assert (await shop.replay(Wanted(poison=True))).sent.total() == 1


async def test_replays_must_not_be_forgotten_before_dead_letters(bus: Bus, tmp_path: Path) -> None:
    shop = Shop(bus, tmp_path)
    await bus.topic(REPLAYS.name, config={"retention.ms": "1000"})
    with pytest.raises(ConfigurationError, match="dead-letters is missing"):
        await shop.replay()
    await bus.owned()
    with pytest.raises(
        ConfigurationError, match=r"retention.ms=1000, which forgets .* --add-config retention.ms=3196800000"
    ):
        await shop.replay()


async def test_the_command_tells_what_it_would_do_and_does_it(shop: Shop) -> None:
    await shop.bury([Died(shop.logs, b"%d" % n, b"a" if n else b"b") for n in range(3)])
    await shop.bury([Died("elsewhere", reason="policy"), Died(shop.logs, random.Random(3).randbytes(2_000_000), b"c")])
    dry = await shop.sluice("--dry-run")
    assert dry.out.startswith("3 dead letters would go back\n          3  internal ")
    assert f"internal, from {shop.logs}/0/0: why it died" in dry.out
    assert "1  elsewhere: no stream of the policy reads this topic" in dry.out
    assert f"1  {shop.logs}: larger than the topic admits" in dry.out
    assert dry.code == 1, "something cannot be sent"
    assert (await shop.values(shop.logs), await shop.replays()) == ([], [])
    one = await shop.sluice("--key", "b", "--since", "1h", "--json")
    assert (one.code, one.err) == (0, "")
    told_ = orjson.loads(one.out)
    assert (told_["dry_run"], told_["count"], told_["left"]) == (False, 1, [])
    done = await shop.sluice("--reason", "internal", "--until", "2100-01-01")
    assert done.out.startswith("2 dead letters went back\n")
    assert "sent back before" in done.out
    assert sorted(await shop.values(shop.logs)) == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--stream", "logz"], "--stream 'logz': use one of logs, mail, chat."),
        (["--reason", "bad"], "'bad' is not one of 'undecodable'"),
        (["--since", "yesterday"], "'yesterday' is no time: write 2026-01-31T12:00:00Z"),
    ],
)
async def test_wrong_use_is_told_with_what_would_be_right(shop: Shop, arguments: list[str], says: str) -> None:
    said = await shop.sluice(*arguments)
    assert said.code == 2
    assert says in said.err


async def _sent_or_ended(shop: Shop, process: asyncio.subprocess.Process, count: int) -> bool:
    return process.returncode is not None or len(await shop.replays()) >= count


async def _start(shop: Shop, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        pipelines.SLUICE,
        "replay",
        *arguments,
        cwd=shop.folder,
        env=os.environ | {"KAFKA_BOOTSTRAP_SERVERS": shop.bus.bootstrap_servers},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
