"""`sluice run trainer`: audits, lessons and feedback → `quality` and `students`. One works, others stand by.

Who works is a group's to say: `audits` has one partition, and whoever is given it has a term (trainer_term.py). The
group's offsets tell others of the lag; what was read is in the states themselves.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Collection

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from processors.clock import Clock
from processors.errors import ConfigurationError
from processors.policy import Policy
from streams.brokers import Brokers
from streams.engine.broker import Fenced, Member
from streams.engine.kafka import KafkaBroker
from streams.engine.settings import Health
from streams.trainer_process import teach
from streams.trainer_term import Teach, Term
from topics import limits
from topics.catalog import AUDITS

log = logging.getLogger("sluice.trainer")


class Trainer:
    """A member of the group that is started anew whenever the brokers fail it."""

    def __init__(
        self,
        policy: Policy,
        brokers: Brokers,
        *,
        instance_id: str | None = None,
        clock: Clock,
        rng: random.Random,
        teach: Teach = teach,
    ) -> None:
        """`instance_id`: SLUICE_INSTANCE_ID; `teach`: how a student is taught."""
        self._policy = policy
        self._brokers = brokers
        self._instance_id = instance_id
        self._clock = clock
        self._rng = rng
        self._teach = teach
        self._assigned: bool | None = None  # None: not in the group
        self._term: Term | None = None
        self._turned_s = clock.monotonic()

    def health(self) -> Health:
        """For probes; cheap. A standby is ready, with no partitions."""
        return Health(
            joined=self._assigned is not None and (not self._assigned or self._term is not None),
            partitions=int(self._assigned or 0),
            in_flight=int(self._term is not None and self._term.is_training),
            held=None,
            poll_age_s=self._clock.monotonic() - self._turned_s,
        )

    def adopt(self, policy: Policy) -> None:
        """Another policy of the same topics, from the next audit on."""
        self._policy = policy
        if self._term is not None:
            self._term.adopt(policy)

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set. A failure is logged, and `/ready` tells one that lasts."""
        while not stop.is_set():
            try:
                await self._life(stop)
            except Exception as error:  # what is on Kafka is whole: the next life goes on from there
                known = isinstance(error, (KafkaError, Fenced, TimeoutError, ConfigurationError))
                log.error("the trainer starts anew: %r", error, exc_info=None if known else error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), limits.TRAINER_RESTART_SECONDS)

    async def _life(self, stop: asyncio.Event) -> None:
        names = self._policy.kafka.names
        member = KafkaBroker(self._brokers).member(
            names.group("trainer"), session_timeout_ms=limits.SESSION_TIMEOUT_MS, instance_id=self._instance_id
        )
        try:
            await member.start()
            member.subscribe([names.topic(AUDITS)], _Assigning(self, member))
            while not stop.is_set():
                self._turned_s = self._clock.monotonic()
                waits_ms = 0 if self._assigned else round(limits.TRAINER_POLL_SECONDS * 1000)
                await member.poll((), timeout_ms=waits_ms, records_max=1)
                if self._assigned:
                    term = self._term or await self._begun()
                    await term.turn(member.membership())
                    if term.outgrown:
                        await self._ended()
        finally:
            self._assigned = None
            await self._ended()
            await member.stop()

    async def _begun(self) -> Term:
        term = Term(self._policy, self._brokers, teach=self._teach, clock=self._clock, rng=self._rng)
        try:
            await term.begin()
        except BaseException:
            await term.end()
            raise
        self._term = term
        term.adopt(self._policy)  # one that came meanwhile
        return term

    async def _ended(self) -> None:
        term, self._term = self._term, None
        if term is not None:
            await term.end()

    def assigned(self, works: bool) -> None:
        """By the group: from now on this one works, or stands by. A term that another has followed is fenced."""
        self._assigned = works


class _Assigning:
    """Told by the group."""

    def __init__(self, trainer: Trainer, member: Member) -> None:
        self._trainer = trainer
        self._member = member

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # noqa: ARG002
        """The term's next write names a generation that is over, or a producer that is fenced."""
        self._trainer.assigned(False)

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._member.pause(*assigned)  # read by the term, from where the states are
        self._trainer.assigned(bool(assigned))
