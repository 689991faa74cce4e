"""What went in, what is on Kafka and what is in the tables, compared by message id."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from rich.table import Table

from local.collect import Collected
from local.postgres import LocalPostgres
from streams import topics_admin
from streams.brokers import Brokers
from topics.catalog import ALERTS, Names


@dataclass(frozen=True, slots=True)
class Flow:
    """One stream, from its source to its rows."""

    given: int  # lines of the file, rows of the outbox
    read: frozenset[str]  # message ids on the input topic
    decided: frozenset[str]
    dead: frozenset[str]
    rows: frozenset[str]

    @property
    def equal(self) -> bool:
        return self.given == len(self.read) and self.read == self.decided | self.dead and self.decided == self.rows


@dataclass(frozen=True, slots=True)
class Counts:
    """Everything at one moment."""

    flows: Mapping[str, Flow]  # by stream
    doubled: int  # decisions and dead letters that came a second time
    alerts: Mapping[str, int]  # on the topic: id → latest revision
    alert_rows: Mapping[str, int]

    @property
    def equal(self) -> bool:
        return not self.doubled and self.alerts == self.alert_rows and all(flow.equal for flow in self.flows.values())


async def take(
    brokers: Brokers, names: Names, given: Mapping[str, int], seen: Collected, postgres: LocalPostgres
) -> Counts:
    """The counts now. `given`: by stream, whose input topic has the same name; `seen`: what the stages wrote."""
    rows = _rows(postgres, "decisions", "id, stream")
    flows = {}
    for stream, count in given.items():
        read = frozenset(f"{stream}/{record.partition}/{record.offset}" for record in await _records(brokers, stream))
        flows[stream] = Flow(
            given=count,
            read=read,
            decided=frozenset(id for id, decision in seen.decisions.items() if decision["stream"] == stream),
            dead=read & seen.dead.keys(),
            rows=frozenset(id for id, of_stream in rows if of_stream == stream),
        )
    alerts = {}
    for record in await _records(brokers, names.topic(ALERTS)):
        if record.value is not None:
            alert = orjson.loads(record.value)
            alerts[alert["id"]] = alert["revision"]
    alert_rows = {id: int(revision) for id, revision in _rows(postgres, "alerts", "id, revision")}
    return Counts(flows, len(seen.doubled), alerts, alert_rows)


def table(counts: Counts) -> Table:
    """The counts as a person reads them."""
    shown = Table("", "given", "on Kafka", "decided", "dead letters", "rows", "", box=None, pad_edge=False)
    for column in shown.columns[1:-1]:
        column.justify = "right"
    for stream, flow in counts.flows.items():
        numbers = (flow.given, len(flow.read), len(flow.decided), len(flow.dead), len(flow.rows))
        shown.add_row(stream, *(f"{number:,}" for number in numbers), _verdict(flow.equal))
    same = counts.alerts == counts.alert_rows
    shown.add_row("alerts", "", f"{len(counts.alerts):,}", "", "", f"{len(counts.alert_rows):,}", _verdict(same))
    shown.add_row("doubled", "", "", f"{counts.doubled:,}", "", "", _verdict(not counts.doubled))
    return shown


def _verdict(good: bool) -> str:
    return "[green]equal[/]" if good else "[red]DIFFERENT[/]"


def _rows(postgres: LocalPostgres, name: str, columns: str) -> list[tuple[str, ...]]:
    """Of a table that is not there before its first row."""
    there = postgres.query(f"SELECT to_regclass('{name}')") == [(name,)]
    return postgres.query(f"SELECT {columns} FROM {name}") if there else []


async def _records(brokers: Brokers, topic: str) -> list[ConsumerRecord]:
    """All records of a topic that are there now, as a read_committed consumer sees them."""
    found: list[ConsumerRecord] = []
    consumer = AIOKafkaConsumer(
        **brokers.client_options, isolation_level="read_committed", enable_auto_commit=False, fetch_max_wait_ms=50
    )
    async with consumer:
        await topics_admin.assign(consumer, [topic], from_beginning=True)
        ends = await consumer.end_offsets(list(consumer.assignment()))
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
    return found
