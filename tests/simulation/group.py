"""The broker's group coordinator: members, generations, and offsets, those of open transactions apart.

Rebalances are eager: a group that prepares one waits until every member has joined again or its session is over.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from aiokafka.errors import OffsetMetadataTooLargeError, RebalanceInProgressError, UnknownMemberIdError
from aiokafka.structs import TopicPartition

from streams.engine.broker import NOTHING_COMMITTED, Committed, Fenced, Membership
from tests.simulation.history import History
from tests.simulation.log import Transaction

OFFSET_METADATA_CHARS_MAX = 4_096


class Joined(NamedTuple):
    """The answer to a member that has joined."""

    generation: int
    member_id: str
    assignment: Collection[TopicPartition]


class _Member:
    def __init__(self, id_: str, instance_id: str | None, topics: Sequence[str], session_s: float) -> None:
        self.id = id_
        self.instance_id = instance_id
        self.topics = topics
        self.session_s = session_s
        self.assignment: Collection[TopicPartition] = ()
        self.waits: asyncio.Future[Joined] | None = None  # joins, and is answered when all have
        self.session: asyncio.TimerHandle | None = None


class Group:
    """One group. Its methods are the effects of requests: they take place at once and do not wait."""

    def __init__(self, name: str, partitions_of: Callable[[str], int], history: History) -> None:
        self.name = name
        self.generation = 0
        self.offsets: dict[TopicPartition, Committed] = {}
        self._partitions_of = partitions_of
        self._history = history
        self._members: dict[str, _Member] = {}  # in the order of joining; the first leads
        self._preparing = False
        self._count = 0
        self._pending: dict[Transaction, dict[TopicPartition, Committed]] = {}
        self._watchers: list[Callable[[], None]] = []

    # --- members ---------------------------------------------------------------------------------

    def join(
        self, member_id: str, instance_id: str | None, topics: Sequence[str], session_s: float
    ) -> asyncio.Future[Joined]:
        """JoinGroup and SyncGroup in one. `member_id` is empty for a new member; one that is not known is new too."""
        answer: asyncio.Future[Joined] = asyncio.get_running_loop().create_future()
        member = self._members.get(member_id)
        if member is None and instance_id is not None:
            member = next((m for m in self._members.values() if m.instance_id == instance_id), None)
            if member is not None:  # comes back under its old name: whoever had it is out
                self._count += 1
                del self._members[member.id]
                member.id = f"{instance_id}-{self._count}"
                self._members[member.id] = member
        known = member is not None
        if member is None:
            self._count += 1
            member = _Member(f"{instance_id or 'member'}-{self._count}", instance_id, topics, session_s)
            self._members[member.id] = member
        same = member.topics == topics and (instance_id is not None or member is not next(iter(self._members.values())))
        if known and same and not self._preparing:  # nothing has changed for the others
            answer.set_result(Joined(self.generation, member.id, member.assignment))
            self._watch_session(member)
            return answer
        member.topics = topics
        member.waits = answer
        if member.session is not None:
            member.session.cancel()
        self._prepare(f"{member.id} joins")
        self._go_on()
        return answer

    def heartbeat(self, generation: int, member_id: str) -> None:
        """Raises RebalanceInProgressError and UnknownMemberIdError."""
        member = self._members.get(member_id)
        if member is None or generation != self.generation:
            raise UnknownMemberIdError
        self._watch_session(member)
        if self._preparing:
            raise RebalanceInProgressError

    def leave(self, member_id: str) -> None:
        """At once, without waiting for the session's end."""
        if member_id in self._members:
            self._remove(member_id, "left")

    def hold_sessions(self) -> None:
        """While the broker is away nobody is missed."""
        for member in self._members.values():
            if member.session is not None:
                member.session.cancel()

    def begin_sessions(self) -> None:
        """Anew, for all who are not answered first."""
        for member in self._members.values():
            if member.waits is None:
                self._watch_session(member)

    def _watch_session(self, member: _Member) -> None:
        if member.session is not None:
            member.session.cancel()
        loop = asyncio.get_running_loop()
        member.session = loop.call_later(member.session_s, lambda: self._remove(member.id, "its session is over"))

    def _remove(self, member_id: str, why: str) -> None:
        member = self._members.pop(member_id)
        if member.session is not None:
            member.session.cancel()
        if member.waits is not None and not member.waits.done():
            member.waits.set_exception(UnknownMemberIdError())
        self._prepare(f"{member_id}: {why}")
        self._go_on()

    def _prepare(self, why: str) -> None:
        self._history.note("rebalance", why)
        self._preparing = True

    def _go_on(self) -> None:
        """The next generation, if every member has joined."""
        members = list(self._members.values())
        if not self._preparing or any(member.waits is None for member in members):
            return
        self._preparing = False
        self.generation += 1
        self._assign(members)
        self._history.note(
            "generation",
            self.generation,
            "; ".join(f"{m.id}: {', '.join(f'{t}/{p}' for t, p in m.assignment) or 'nothing'}" for m in members),
        )
        for member in members:
            waits, member.waits = member.waits, None
            assert waits is not None
            self._watch_session(member)
            if not waits.done():
                waits.set_result(Joined(self.generation, member.id, member.assignment))

    def _assign(self, members: Sequence[_Member]) -> None:
        """By range."""
        shares: dict[str, list[TopicPartition]] = {member.id: [] for member in members}
        for topic in sorted({topic for member in members for topic in member.topics}):
            takers = sorted(member.id for member in members if topic in member.topics)
            count = self._partitions_of(topic)
            for partition in range(count):
                shares[takers[partition * len(takers) // count]].append(TopicPartition(topic, partition))
        for member in members:
            member.assignment = tuple(shares[member.id])

    # --- offsets ---------------------------------------------------------------------------------

    def commit(self, offsets: Mapping[TopicPartition, Committed], membership: Membership) -> None:
        """OffsetCommit."""
        self._check(offsets, membership)
        self.offsets.update(offsets)
        self._note_offsets(offsets)

    def commit_in(
        self, transaction: Transaction, offsets: Mapping[TopicPartition, Committed], membership: Membership
    ) -> None:
        """TxnOffsetCommit: pending until the transaction ends."""
        self._check(offsets, membership)
        transaction.groups[self.name] = None
        self._pending.setdefault(transaction, {}).update(offsets)
        for partition, committed in offsets.items():
            self._history.note("pending", transaction, partition, committed)

    def end(self, transaction: Transaction) -> None:
        """The marker of a transaction."""
        offsets = self._pending.pop(transaction, {})
        if transaction.committed:
            self.offsets.update(offsets)
            self._note_offsets(offsets)
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher()

    def fetch(self, partitions: Collection[TopicPartition]) -> asyncio.Future[Mapping[TopicPartition, Committed]]:
        """OffsetFetch with require_stable: waits while an offset asked for is pending."""
        answer: asyncio.Future[Mapping[TopicPartition, Committed]] = asyncio.get_running_loop().create_future()

        def look() -> None:
            if any(partition in pending for pending in self._pending.values() for partition in partitions):
                self._watchers.append(look)
            else:
                answer.set_result(self.fetch_unstable(partitions))

        look()
        return answer

    def fetch_unstable(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, Committed]:
        """OffsetFetch as it was before: what a transaction changes that is decided but not ended here is stale."""
        return {partition: self.offsets.get(partition, Committed(NOTHING_COMMITTED, "")) for partition in partitions}

    def _check(self, offsets: Mapping[TopicPartition, Committed], membership: Membership) -> None:
        self.check_generation(membership)
        if any(len(metadata) > OFFSET_METADATA_CHARS_MAX for _, metadata in offsets.values()):
            raise OffsetMetadataTooLargeError

    def check_generation(self, membership: Membership) -> None:
        """Raises Fenced for all but members of the present generation."""
        if membership.generation != self.generation or membership.member_id not in self._members:
            self._history.note("stale", f"generation {membership.generation}, the group has {self.generation}")
            raise Fenced(f"generation {membership.generation} of {membership.member_id} is over")

    def _note_offsets(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        for partition, committed in offsets.items():
            self._history.note("offset", partition, committed)
