"""Records whose values a schema registry's serializer has framed, as records whose values are plain JSON."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Set
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

from processors.clock import Clock
from processors.errors import ProviderUnavailable
from processors.policy import Policy
from streams import registry_access
from streams.avro import Avro, AvroInvalid
from streams.schema_registry import Schema, SchemaRegistry, SchemaUnknown, SchemaUnusable
from topics import framing, limits
from topics.inputs import TEXT_FORMATS
from topics.messages import Rejected
from topics.records import Headers, Record

log = logging.getLogger("sluice.schema_registry")

_T = TypeVar("_T")
_Decode = Callable[[bytes], bytes]  # raises AvroInvalid


class Framed:
    """Decodes at once what it knows the schema of; keys are left as they are.

    A framed JSON object is left as it is, too: topics/inputs.py reads it without any schema.
    """

    def __init__(self, registry: SchemaRegistry, topics: Set[str], clock: Clock) -> None:
        """`topics`: where values may be framed; what begins with a zero byte elsewhere is text."""
        self._registry = registry
        self._topics = topics
        self._clock = clock
        self._known: OrderedDict[int, _Decode] = OrderedDict()
        self._refused: OrderedDict[int, tuple[Rejected, float]] = OrderedDict()  # and until when that holds
        self._away = False  # told once
        self._learning = asyncio.Lock()  # what many records wait for is asked for once

    def at_once(self, record: Record) -> Record | Rejected | None:
        """The record with its value as JSON; the same one where its value is not framed. None: `learn` first."""
        value = record.value
        if value is None or not value.startswith(framing.MAGIC) or record.topic not in self._topics:
            return record
        id_ = framing.schema_id(value)
        if id_ is None or len(value) > limits.INPUT_VALUE_BYTES_MAX or framing.json_object(value) is not None:
            return record
        if (decode := self._known.get(id_)) is None:
            return self._refusal(id_)
        try:
            plain = decode(value[framing.HEADER_BYTES :])
        except AvroInvalid as error:
            return Rejected(
                "undecodable",
                f"the value begins with a zero byte and does not fit schema {id_} of {self._registry.url}: {error}. "
                f"Send it with the id of the schema that it was written with. {framing.IF_TEXT}",
            )
        return _Plain(
            record.topic, record.partition, record.offset, record.timestamp, record.key, plain, record.headers
        )

    async def learn(self, record: Record) -> None:
        """Makes `at_once` know the schema of a record for which it gave None.

        Raises ProviderUnavailable or AccountError where the registry does not tell; nothing is learnt then.
        """
        id_ = framing.schema_id(record.value or b"")
        assert id_ is not None, "only framed records wait for a schema"
        async with self._learning:
            if id_ in self._known or self._refusal(id_) is not None:
                return
            try:
                decode = _decoder(await self._registry.schema(id_))
            except ProviderUnavailable as error:
                if not self._away:
                    log.warning("%s; records of schemas that are not known yet wait, nothing is lost", error)
                self._away = True
                raise
            except (SchemaUnknown, SchemaUnusable) as error:
                told = Rejected("undecodable", _told(id_, self._registry.url, error))
                _put(self._refused, id_, (told, self._clock.monotonic() + limits.REGISTRY_REFUSED_SECONDS))
            else:
                _put(self._known, id_, decode)
            self._away = False

    async def natural(self, record: Record) -> Record | Rejected:
        """`at_once`, after `learn` where that has to be. Raises what that does."""
        while (read := self.at_once(record)) is None:
            await self.learn(record)
        return read

    def _refusal(self, id_: int) -> Rejected | None:
        told, until = self._refused.get(id_, (None, 0.0))
        return told if self._clock.monotonic() < until else None


@asynccontextmanager
async def of(policy: Policy, env: Mapping[str, str], clock: Clock) -> AsyncIterator[Framed | None]:
    """None where no registry is named. Connects to nothing yet; raises ConfigurationError."""
    access = registry_access.access(policy.kafka, env)
    if access is None:
        yield None
        return
    streams = [stream for stream in policy.streams.values() if stream.format not in TEXT_FORMATS]
    topics = frozenset(topic for stream in streams for topic in stream.topics)
    async with SchemaRegistry(access, clock) as registry:
        yield Framed(registry, topics, clock)


class _Plain(NamedTuple):
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def _decoder(schema: Schema) -> _Decode:
    match schema.kind:
        case "AVRO":
            return Avro(schema.text, schema.references).json
        case "JSON":
            return lambda value: value
        case kind:
            raise SchemaUnusable(
                f"it is {kind.title()}, which is not read; have the producer or its converter write Avro, "
                "JSON Schema or plain JSON"
            )


def _told(id_: int, url: str, error: SchemaUnknown | SchemaUnusable) -> str:
    if isinstance(error, SchemaUnusable):
        return f"schema {id_} of {url} cannot be used: {error}."
    return (
        f"the value begins with a zero byte, and {error}. "
        f"Name the registry that its sender uses in kafka.schema_registry.url. {framing.IF_TEXT}"
    )


def _put(kept: OrderedDict[int, _T], id_: int, value: _T) -> None:
    """The oldest goes where there are too many."""
    kept[id_] = value
    if len(kept) > limits.REGISTRY_SCHEMAS_MAX:
        kept.popitem(last=False)
