"""Faust as Sluice runs it: its settings with their reasons, a consumer and a table that keep what it has read.

Four things are otherwise than Faust does them by itself:
- It reads only what is committed. Faust does so with its own transactions alone, and would count what a crashed stage
  never decided.
- It commits what the worker calls durable. Faust commits what is acknowledged, and acknowledges by itself what it
  drops in a rebalance (streams.py, `value is skipped_value`), which would be lost with a crash after it.
- It gives out signals only after the last time that its start empties the queues on their way to the agent: at the end
  of a recovery, and once more when the app has started (app/base.py, on_started_init_extra_tasks). What is in them
  then is dropped, and no other reads it again once something later is committed.
- A table is written in batches: first the changelog, then, with the changelog's offset in one piece, RocksDB. Faust
  writes RocksDB at once and the changelog when it can; killed in between, a worker would hold what no other ever sees.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import faust
import rocksdict
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from faust.stores import rocksdb
from faust.tables import Table
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, TopicT
from faust.types.auth import CredentialsT
from mode.threads import WorkerThread
from yarl import URL

from streams.brokers import Brokers
from topics import limits
from topics.catalog import INCIDENTS, Names
from topics.records import Headers

_ROCKSDB = {  # a partition has a few thousand rows of some KB: Faust's defaults are for gigabytes
    "write_buffer_size": 4 * limits.MIB,
    "max_write_buffer_number": 2,
    "target_file_size_base": 4 * limits.MIB,
    "block_cache_size": 8 * limits.MIB,
    "max_open_files": 64,
    "driver": "rocksdict",
}


class App(faust.App):
    """A Faust app for one group, which lives in the event loop of its caller: no signals, logging or web of its own."""

    def __init__(self, brokers: Brokers, names: Names, data: Path, instance_id: str | None) -> None:
        """`data`: a directory of this worker's own; what it holds is found again."""
        data.mkdir(parents=True, exist_ok=True)
        super().__init__(
            names.group("incidents"),
            broker=[URL(f"kafka://{server}") for server in brokers.bootstrap_servers.split(",")],
            broker_credentials=_credentials(brokers),
            consumer_group_instance_id=instance_id,
            datadir=data,
            store="rocksdb://",
            Table=RowTable,
            # A killed worker's partitions go to others after this long. With Faust's 60 s nothing happened for 40 s
            # after a kill, and SIGTERM hung.
            broker_session_timeout=limits.SESSION_TIMEOUT_MS / 1000,
            broker_request_timeout=limits.SESSION_TIMEOUT_MS / 1000 * 2,  # must be longer than the session
            broker_rebalance_timeout=limits.SESSION_TIMEOUT_MS / 1000,
            broker_commit_interval=limits.INCIDENT_COMMIT_SECONDS,
            producer_request_timeout=limits.INCIDENT_WRITE_SECONDS_MAX,  # 20 minutes by default
            consumer_auto_offset_reset="earliest",
            # The changelog comes from `sluice topics apply`, with as many partitions as `signals`; Faust would make one
            # by its own lights. A leader is for timers that run once, and would take a topic of its own.
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=0,  # the state is small, its changelog read again in seconds
            stream_wait_empty=False,  # for its own acknowledgements: the worker ends its batch itself
            stream_buffer_maxsize=limits.SIGNALS_BATCH_MAX * 2,
            web_enabled=False,
        )
        self.transport = _Transport(self.conf.broker_consumer, self)

    def bytes_topic(self, name: str, **options: Any) -> TopicT:
        """A topic whose records are taken as they are: one that Faust cannot decode would be dropped unseen. Nor is it
        for Faust to know what is done (`Consumer`)."""
        return self.topic(name, key_serializer="raw", value_serializer="raw", allow_empty=True, acks=False, **options)

    async def write(self, topic: str, records: Iterable["Row"]) -> list[int]:
        """Returns their offsets once all replicas in sync have them. Raises KafkaError or ProducerSendError."""
        sent = [
            await self.producer.send(
                topic, row.key, row.value, partition=row.partition, timestamp=None, headers=list(row.headers)
            )
            for row in records
        ]
        return [told.offset for told in await asyncio.gather(*sent)]


class Row(NamedTuple):
    """A record to write."""

    key: bytes
    value: bytes | None
    partition: int | None = None  # None: by the key
    headers: Headers = ()


class RowTable(Table[bytes, bytes]):
    """Rows by partition and key, as bytes."""

    def row(self, partition: int, key: bytes) -> bytes | None:
        value: bytes | None = self._rocksdb._db_for_partition(partition).get(key)
        return value

    def rows(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        yield from self._rocksdb._visible_items(self._rocksdb._db_for_partition(partition))

    async def write(self, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Durable when it returns. Cancelled or failed, the changelog may have some of it, RocksDB nothing."""
        app = cast(App, self.app)
        offsets = await app.write(
            self.changelog_topic_name, [Row(key, value, partition) for key, value in changes.items()]
        )
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in changes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(self._rocksdb.offset_key, str(max(offsets)).encode())
        self._rocksdb._db_for_partition(partition).write(batch)

    @property
    def _rocksdb(self) -> rocksdb.Store:
        return cast(rocksdb.Store, self.data)

    @classmethod
    def of(cls, app: App, names: Names) -> "RowTable":
        """The table of incidents. Its changelog is read from the beginning where this worker has no data of it."""
        changelog = app.bytes_topic(names.topic(INCIDENTS), internal=True)
        options = dict(_ROCKSDB)  # Faust takes some out
        table = app.Table(INCIDENTS.name, key_type=bytes, value_type=bytes, changelog_topic=changelog, options=options)
        return cast(RowTable, table)


class Consumer(driver.Consumer):
    """Reads what is committed, commits what is durable."""

    def __post_init__(self) -> None:
        self.durable: dict[TP, int] = {}  # the offset after the last record whose effects are durable
        self.fetched: dict[TP, int] = {}  # the offset after the last record that was given out
        self._held: set[TP] = set()  # may be read as soon as queues are not emptied any more
        self._open = False

    def open(self) -> None:
        """The app has started."""
        self._open = True
        self._let_go()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Changelogs at once, the others once the flow is resumed, which empties the queues just before."""
        changelogs = {tp for tp in tps if self._is_changelog_tp(tp)}
        super().resume_partitions(changelogs)
        self._held |= set(tps) - changelogs

    def resume_flow(self) -> None:
        super().resume_flow()
        self._let_go()

    def _let_go(self) -> None:
        if self._open:
            super().resume_partitions(self._held)
            self._held.clear()

    def on_buffer_full(self, tp: TP) -> None:
        """Faust would pause the partition here, and resume it, perhaps, in the next rebalance. A full queue holds up
        the reading by itself."""

    def on_buffer_drop(self, tp: TP) -> None:
        """As above."""

    def behind(self, tp: TP) -> int | None:
        """About how many records are not durable yet, 0 only where none is. None: not known yet. What a transaction
        holds that has not ended is among them: it may be committed."""
        assignment = self._thread._ensure_consumer()._fetcher._subscriptions.subscription.assignment
        state = assignment.state_value(tp) if assignment is not None else None
        if state is None or state.highwater is None or not state.has_valid_position:
            return None
        fetched = self.fetched.get(tp)
        given_out = 0 if fetched is None else fetched - self.durable.get(tp, fetched - 1)
        there: int = state.highwater - state.position
        return max(there, 0) + max(given_out, 0)

    def forget(self) -> None:
        """After a rebalance everything is read from what is committed."""
        self.durable.clear()
        self.fetched.clear()
        self._held.clear()

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:  # noqa: ARG002
        return {tp: offset for tp, offset in self.durable.items() if self._should_commit(tp, offset)}

    def _new_consumer_thread(self) -> "_ConsumerThread":
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)


class _WorkerThread(WorkerThread):
    """One that hangs does not keep the process from ending."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.daemon = True


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    Worker = _WorkerThread

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = limits.FETCH_WAIT_MS_MAX  # its end waits for the last answer, 1.5 s by default
        return consumer

    async def _fetch_records(
        self, consumer: Any, active_partitions: set[TP], timeout: float | None = None, max_records: int | None = None
    ) -> Mapping[TP, list[Any]]:
        """Of the partitions that are active now. Faust's set changes while the fetch waits, and empty means all to
        aiokafka: signals would come that Faust then drops. What is given out is noted here, where the position moves,
        so that nobody takes it for heard."""
        active = set(active_partitions)
        if not active:
            return {}
        records: Mapping[TP, list[Any]] = await super()._fetch_records(consumer, active, timeout, max_records)
        cast(Consumer, self.consumer).fetched.update((TP(*tp), batch[-1].offset + 1) for tp, batch in records.items())
        return records


class _Transport(driver.Transport):
    Consumer = Consumer


def _credentials(brokers: Brokers) -> CredentialsT | None:
    if brokers.security_protocol == "PLAINTEXT":
        return None
    if brokers.security_protocol == "SSL":
        return SSLCredentials(context=brokers.ssl_context)
    if brokers.token_provider is not None:
        return OAuthCredentials(oauth_cb=brokers.token_provider, ssl_context=brokers.ssl_context)
    return SASLCredentials(
        username=brokers.username,
        password=brokers.password,
        mechanism=brokers.sasl_mechanism,
        ssl_context=brokers.ssl_context,
    )
