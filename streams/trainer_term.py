"""What the active trainer does: audits → the state of each stream, labels → students. All of it follows from what is
on Kafka, so that whoever comes next goes on from there.

Three things hold it together:
1. A term begins by starting a producer with the trainer's transactional id: whoever wrote before is fenced, and what it
   left open is ended. Only then is `quality` read, so that nothing can come after what was read.
2. A stream's state and the offset that says how far it goes are one record. Audits are folded in their order, from
   that offset on: whoever reads the record has exactly the audits before it, never more.
3. An audit is folded before a student learns from it, and a student's list is written with the state that has its
   audits in it: a version is judged by later audits only.
"""

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from processors import metrics
from processors.clock import Clock
from processors.policy import Policy, Quality, Stream
from processors.quality.standing import Standing, claim_of
from processors.quality.state import StreamQuality
from streams import quality_records, shared, student_records
from streams.brokers import Brokers
from streams.engine.broker import Committed, Membership, Producer
from streams.engine.delivery import ExactlyOnce
from streams.engine.kafka import KafkaBroker
from streams.engine.outbox import Sealed
from streams.quality_records import Certificate, Newest, Order
from streams.student_records import Kept, Listing, Listings, student_of
from streams.trainer_lessons import Course, Lesson, Lessons
from streams.trainer_process import Taught, TrainingFailed
from topics import codec, limits
from topics.catalog import AUDITS, FEEDBACK, LESSONS, QUALITY, STUDENTS, Names, Topic
from topics.messages import Audit, Feedback
from topics.messages import Lesson as LessonMessage
from topics.records import Record

log = logging.getLogger("sluice.trainer")

Teach = Callable[[Sequence[str], Sequence[Lesson], int], Awaitable[Taught | None]]
"""Labels, lessons and a seed to a student. May raise TrainingFailed."""

_READ = (AUDITS, LESSONS, FEEDBACK)
_Outs = list[tuple[Topic, bytes, bytes | None]]


class _Learning:
    """One stream."""

    def __init__(self, name: str, stream: Stream, judged: StreamQuality, offset: int, coin: str = "") -> None:
        """`offset`: of `audits`, up to which `judged` goes. `coin`: the stream's secret, where it has one."""
        self.name = name
        self.spec = stream
        self.judged = judged
        self.offset = offset
        self.coin = coin or secrets.token_hex(32)
        self.order: Order | None = None
        self.said: Certificate | None = None  # on Kafka
        self.changed = True  # since
        self.cost_usd_micros = 0.0
        self.kept: tuple[Kept, ...] = ()
        self.since: Mapping[Topic, int] = dict.fromkeys(_READ, 0)  # of which the newest student was not taught
        self.lessons = Lessons(stream.labels)
        self.course = Course()
        self.revoked = False  # and not taught since

    def obey(self, order: Order) -> None:
        """All that an operator wants of it."""
        self.order = order
        self.changed = True
        self.judged.try_model(order.candidate_model)
        try:
            self.judged.switch_off() if order.off else self.judged.switch_on()
            self.judged.release() if order.pin is None else self.judged.pin(order.pin)
        except ValueError as error:
            log.error("what was ordered of %s cannot be done: %s", self.name, error)
        metrics.SWITCHED_OFF.labels(self.name).set(self.judged.off)

    def lose(self, records: int, until_ms: int, *, since_ms: int | None = None) -> None:
        """Audits that may be its own and that nobody can read any more."""
        self.judged.lose(records, until_ms, since_ms=since_ms)
        self.changed = True

    def resume(self, kept: Sequence[Kept]) -> None:
        """The students that are there. Those of another policy are kept and count for nothing."""
        self.kept = tuple(kept)
        newest = next((each for each in reversed(kept) if each.policy_version == self.spec.version), None)
        if newest is not None:
            self.course = Course(newest.labels)
            self.since = {AUDITS: newest.audits, LESSONS: newest.lessons, FEEDBACK: newest.feedback}

    def is_due(self, now_s: float) -> bool:
        """Whether it is to be taught."""
        return self.course.due(now_s, revoked=self.revoked, on_trial=self.judged.tries("free"))

    def learn(self, topic: Topic, offset: int, is_new: bool) -> None:
        if is_new and offset >= self.since[topic]:
            self.course.new += 1


class Term:
    """From `begin` to `end`; after an error only `end` may be called."""

    def __init__(self, policy: Policy, brokers: Brokers, *, teach: Teach, clock: Clock, rng: random.Random) -> None:
        self._policy = policy
        self._brokers = brokers
        self._teach_student = teach
        self._clock = clock
        self._rng = rng
        names = policy.kafka.names
        self._topics = {topic: names.topic(topic) for topic in (*_READ, QUALITY, STUDENTS)}
        self._places = {topic: TopicPartition(self._topics[topic], 0) for topic in (*_READ, QUALITY)}
        self._producer: Producer = KafkaBroker(brokers).producer(
            names.transactional_id("trainer", self._topics[AUDITS], 0), timeout_ms=limits.TRANSACTION_TIMEOUT_MS
        )
        self._reader: AIOKafkaConsumer | None = None
        self._read_to = 0  # of `audits`
        self._ends: dict[TopicPartition, int] = {}  # when the term began; empty once they are reached
        self._streams: dict[str, _Learning] = {}
        self._training: tuple[_Learning, Kept, asyncio.Task[Taught | None]] | None = None
        self._committed: Mapping[TopicPartition, Committed] = {}
        self.outgrown = False  # by a policy with a stream whose state this term has not read: another has to begin
        self._published_s = self._marked_s = clock.monotonic()

    @property
    def is_training(self) -> bool:
        return self._training is not None

    async def begin(self) -> None:
        """Raises KafkaError, TimeoutError, or ConfigurationError where a topic is missing."""
        await self._producer.start()
        reader = self._reader = AIOKafkaConsumer(
            **self._brokers.client_options,
            client_id="sluice-trainer",
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=limits.SHARED_FETCH_WAIT_MS,
        )
        await reader.start()
        places = list(self._places.values())
        reader.assign(places)
        first, ends = await reader.beginning_offsets(places), await reader.end_offsets(places)
        # After the ends: an order that comes meanwhile is read twice, not missed.
        newest, listings = await read_shared(self._brokers, self._policy.kafka.names)
        audits = self._places[AUDITS]
        ends[audits] = await self._caught_up(reader, ends[audits], newest)
        for name, stream, quality in _with_quality(self._policy):
            learning = self._streams[name] = _resumed(
                name, stream, quality, newest, first[audits], ends[audits], self._now_ms
            )
            learning.resume(listings[name].students if name in listings else ())
            if name in newest.orders:
                learning.obey(newest.orders[name])
        for topic in _READ:
            place = self._places[topic]
            start = ends[place] - limits.LESSONS_LOOKBACK_RECORDS
            if topic is AUDITS:
                start = min(start, *(each.offset for each in self._streams.values()), ends[place])
            reader.seek(place, max(first[place], start))
        reader.seek(self._places[QUALITY], ends[self._places[QUALITY]])
        self._ends = {self._places[topic]: ends[self._places[topic]] for topic in _READ}
        for learning in self._streams.values():
            metrics.SWITCHED_OFF.labels(learning.name).set(learning.judged.off)  # by its state, if not by an order
            if learning.said is not None:
                _show(learning.name, learning.said.standing)
        log.info("the trainer begins", extra={"streams": ",".join(self._streams)})

    async def turn(self, membership: Membership) -> None:
        """Reads a little, and publishes what is due. Raises Fenced, OutputRefused, KafkaError or TimeoutError."""
        assert self._reader is not None, "begun"
        polled = await self._reader.getmany(
            timeout_ms=round(limits.TRAINER_POLL_SECONDS * 1000), max_records=limits.TRAINER_POLL_RECORDS_MAX
        )
        await self._missed(polled.get(self._places[AUDITS], ()))
        for place, records in polled.items():
            for record in records:
                self._take(place, record)
        positions = {place: await self._reader.position(place) for place in self._places.values()}
        if positions[self._places[AUDITS]] < self._read_to:
            raise KafkaError(f"{self._topics[AUDITS]} goes back to {positions[self._places[AUDITS]]}: it was made anew")
        self._read_to = positions[self._places[AUDITS]]
        self._ends = {place: end for place, end in self._ends.items() if positions[place] < end}
        outs = self._students(positions)
        await self._publish(membership, positions, outs)

    async def end(self) -> None:
        """Leaves nothing behind, whatever state it is in."""
        if self._training is not None:
            task = self._training[2]
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        metrics.CERTIFIED.clear()  # the next trainer's to say
        metrics.SWITCHED_OFF.clear()
        await self._producer.stop()
        if self._reader is not None:
            await self._reader.stop()

    def adopt(self, policy: Policy) -> None:
        """Between two records. A stream whose policy changed goes on with its audits, as far as its state lets them
        count, and is taught anew."""
        self._policy = policy
        before, self._streams = self._streams, {}
        for name, stream, quality in _with_quality(policy):
            known = before.get(name)
            if known is None:
                self.outgrown = True
                continue
            if (known.spec.quality, known.spec.version) == (quality, stream.version):
                known.spec = stream
                self._streams[name] = known
                continue
            judged = StreamQuality.load(known.judged.dump(), quality, stream.version, audit_min=stream.audit_min)
            learning = self._streams[name] = _Learning(name, stream, judged, known.offset, known.coin)
            if known.order is not None:
                learning.obey(known.order)
            learning.cost_usd_micros = known.cost_usd_micros
            learning.resume(known.kept)
            learning.lessons = known.lessons
            learning.lessons.adopt(stream.labels)
            learning.course.new = max(0, len(learning.lessons) - learning.course.taught)
        for gone in before.keys() - self._streams.keys():
            metrics.CERTIFIED.remove_by_labels({"stream": gone})
            metrics.SWITCHED_OFF.remove_by_labels({"stream": gone})

    async def _caught_up(self, reader: AIOKafkaConsumer, end: int, newest: Newest) -> int:
        """The end of `audits`, once it is where certificates go: a broker that was just made the leader may be behind
        what it has told, for a while. Audits that are gone with their topic never come."""
        wanted = max((certificate.offset for certificate in newest.certificates.values()), default=0)
        place = self._places[AUDITS]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.TRAINER_AUDITS_BEHIND_SECONDS_MAX):
                while end < wanted:
                    await asyncio.sleep(limits.TRAINER_POLL_SECONDS)
                    end = (await reader.end_offsets([place]))[place]
        return end

    @property
    def _now_ms(self) -> int:
        return round(self._clock.time() * 1000)

    # --- reading ------------------------------------------------------------------------------------

    async def _missed(self, records: Sequence[Record]) -> None:
        """Finds audits that retention removed before they were read; `records`: what has come of `audits`. Voids the
        claims that they may have been part of."""
        assert self._reader is not None, "begun"
        audits = self._places[AUDITS]
        came_to = records[0].offset if records else await self._reader.position(audits)
        behind = [learning for learning in self._streams.values() if learning.offset < came_to]
        if not behind:
            return
        begins = (await self._reader.beginning_offsets([audits]))[audits]
        until_ms = min(self._now_ms, records[0].timestamp) if records else self._now_ms
        for learning in behind:
            if lost := _removed(learning.offset, came_to, begins):
                log.error("%s: %d audits were removed before they were read: its claim is void", learning.name, lost)
                learning.lose(lost, until_ms)
                learning.offset = came_to

    def _take(self, place: TopicPartition, record: Record) -> None:
        if record.value is None:
            return
        try:
            if place == self._places[AUDITS]:
                self._audit(codec.decode(Audit, record.value), record.offset)
            elif place == self._places[LESSONS]:
                lesson = codec.decode(LessonMessage, record.value)
                if (learning := self._streams.get(lesson.stream)) is not None:
                    known = learning.lessons
                    is_new = (
                        known.lesson(lesson.id, lesson.text, lesson.label)
                        if lesson.text
                        else known.review(lesson.id, lesson.label)
                    )
                    learning.learn(LESSONS, record.offset, is_new)
            elif place == self._places[FEEDBACK]:
                said = codec.decode(Feedback, record.value)
                if (learning := self._streams.get(said.stream)) is not None:
                    is_new = learning.lessons.correction(said.id, said.text, said.label)
                    learning.learn(FEEDBACK, record.offset, is_new)
            elif isinstance(order := quality_records.read(record), Order) and order.stream in self._streams:
                self._streams[order.stream].obey(order)
        except codec.Undecodable as error:
            log.warning("%s/%d/%d is passed over: %s", record.topic, record.partition, record.offset, error)
            if place == self._places[AUDITS]:
                self._unread(record)

    def _unread(self, record: Record) -> None:
        """An audit that cannot be read is lost to its stream; where nothing tells which that is, to all."""
        named, at_ms = stream_in(record.value or b""), min(self._now_ms, record.timestamp)
        topic = input_topic(record)
        of = {named} if named else {name for name, stream in self._policy.streams.items() if topic in stream.topics}
        for learning in self._streams.values():
            if (not of or learning.name in of) and record.offset >= learning.offset:
                learning.lose(1, at_ms, since_ms=at_ms)
                learning.offset = record.offset + 1

    def _audit(self, audit: Audit, offset: int) -> None:
        learning = self._streams.get(audit.stream)
        if learning is None:
            return
        if offset >= learning.offset:
            learning.judged.fold(audit, self._now_ms)
            learning.offset = offset + 1
            learning.changed = True
            learning.cost_usd_micros += audit.cost_usd_micros
            metrics.AUDITED.labels(audit.stream).inc()
            if audit.below and audit.reference_label != audit.label:
                metrics.DISAGREED.labels(audit.stream).inc()
        if audit.reference_label is not None:
            is_new = learning.lessons.audit(audit.id, audit.text, audit.reference_label)
            learning.learn(AUDITS, offset, is_new)

    # --- students -----------------------------------------------------------------------------------

    def _students(self, positions: Mapping[TopicPartition, int]) -> _Outs:
        """Begins a training that is due; the records of one that has ended."""
        now_s = self._clock.monotonic()
        outs: _Outs = []
        if self._training is not None and self._training[2].done():
            learning, kept, task = self._training
            self._training = None
            if self._streams.get(learning.name) is learning:  # else its policy has changed meanwhile
                outs = self._taught(learning, kept, task, now_s)
        if self._training is None and not self._ends:
            due = (each for each in self._streams.values() if each.is_due(now_s) and each.lessons.labels > 1)
            if (ready := next(due, None)) is not None:
                self._teach(ready, positions, now_s)
        return outs

    def _teach(self, learning: _Learning, positions: Mapping[TopicPartition, int], now_s: float) -> None:
        learning.course.begin(now_s)
        learning.revoked = False
        labels = learning.course.known
        audits, lessons, feedback = (positions[self._places[topic]] for topic in _READ)
        kept = Kept(
            version="",
            policy_version=learning.spec.version,
            parts=0,
            bytes=0,
            sha256="",
            labels=labels,
            audits=audits,
            lessons=lessons,
            feedback=feedback,
            at_ms=self._now_ms,
        )
        work = self._teach_student(tuple(learning.spec.labels), learning.lessons.all(), self._rng.getrandbits(31))
        self._training = learning, kept, asyncio.ensure_future(work)

    def _taught(self, learning: _Learning, kept: Kept, task: "asyncio.Task[Taught | None]", now_s: float) -> _Outs:
        try:
            taught = task.result()
        except TrainingFailed as error:
            log.error("a student of %s could not be taught: %s", learning.name, error)
            metrics.STUDENTS.labels(learning.name, "failed").inc()
            learning.course.failed(now_s)
            return []
        if taught is None:
            metrics.STUDENTS.labels(learning.name, "too_few").inc()
            learning.course.failed(now_s)
            return []
        learning.course.learned(kept.labels)
        if any(each.version == taught.version for each in learning.kept):
            return []
        metrics.STUDENTS.labels(learning.name, "taught").inc()
        parts = student_records.split(taught.dump)
        new = _whole(kept, taught, len(parts))
        log.info("student %s of %s is taught by %d labels", new.version, learning.name, new.labels)
        stays = _kept((*learning.kept, new), learning, new.at_ms)
        gone = [each for each in learning.kept if each not in stays]
        learning.kept = stays
        learning.since = {AUDITS: new.audits, LESSONS: new.lessons, FEEDBACK: new.feedback}
        records: list[tuple[bytes, bytes | None]] = [
            *student_records.part_records(learning.name, new.version, parts),
            student_records.listing_record(Listing(stream=learning.name, students=stays)),
        ]
        for each in gone:
            records += student_records.tombstones(learning.name, each)
        return [(STUDENTS, key, value) for key, value in records]

    # --- publishing ---------------------------------------------------------------------------------

    async def _publish(
        self, membership: Membership, positions: Mapping[TopicPartition, int], outs: Sequence[tuple[Topic, bytes, Any]]
    ) -> None:
        """What is due, with the offsets, which tell others of the lag and nothing else."""
        now_s, now_ms = self._clock.monotonic(), self._now_ms
        is_due = now_s - self._published_s >= limits.TRAINER_PUBLISH_SECONDS
        is_marked = now_s - self._marked_s >= limits.TRAINER_MARK_SECONDS
        position = positions[self._places[AUDITS]]
        said: list[tuple[_Learning, Certificate]] = []
        for learning in self._streams.values():
            learning.offset = max(learning.offset, position)
            standing = learning.judged.standing(now_ms)
            before = learning.said
            if (
                before is None
                or before.standing != standing
                or (learning.changed and (is_due or outs))
                or (is_marked and before.offset != learning.offset)
            ):
                said.append((learning, _certificate(learning, standing, now_ms)))
        offsets = {self._places[topic]: Committed(positions[self._places[topic]], "") for topic in _READ}
        if not said and not outs and not (is_due and offsets != self._committed):
            return
        records = [(QUALITY, *quality_records.certificate_record(certificate)) for _, certificate in said]
        delivery = ExactlyOnce(self._producer, membership, timeout_ms=limits.TRANSACTION_TIMEOUT_MS)
        await delivery.publish(list(self._sealed([*outs, *records])), offsets)
        self._committed, self._published_s = offsets, now_s
        if is_marked:
            self._marked_s = now_s
        for learning, certificate in said:
            self._was_said(learning, certificate)

    def _was_said(self, learning: _Learning, certificate: Certificate) -> None:
        before, standing = learning.said, certificate.standing
        answered = None if before is None else before.standing.free_version
        if answered is not None and not learning.judged.certifies(answered):
            learning.revoked = True
        if before is None or before.standing != standing:
            log.info("%s: %s", learning.name, _in_words(standing))
            _show(learning.name, standing)
        learning.said = certificate
        learning.changed = False

    def _sealed(self, outs: Sequence[tuple[Topic, bytes, bytes | None]]) -> Sequence[Sealed]:
        """In their order for each topic."""
        sealed: list[Sealed] = []
        for topic, key, value in outs:
            name = self._topics[topic]
            last = next((each for each in reversed(sealed) if each.topic == name), None)
            if last is None or last.batch.append(timestamp=None, key=key, value=value, headers=[]) is None:
                batch = self._producer.create_batch()
                batch.append(timestamp=None, key=key, value=value, headers=[])
                sealed.append(Sealed(name, 0, batch, None))
        return sealed


async def read_shared(brokers: Brokers, names: Names) -> tuple[Newest, Mapping[str, Listing]]:
    """What `quality` and `students` say now. Raises as shared.read_whole."""
    newest, listings, students = Newest(), Listings(), names.topic(STUDENTS)

    def take(records: Sequence[Record]) -> None:
        for record in records:
            (listings if record.topic == students else newest).take(record)

    await shared.read_whole(brokers, [names.topic(QUALITY), students], take)
    return newest, listings.by_stream


def _with_quality(policy: Policy) -> list[tuple[str, Stream, Quality]]:
    return [(name, stream, stream.quality) for name, stream in policy.streams.items() if stream.quality is not None]


def _resumed(
    name: str, stream: Stream, quality: Quality, newest: Newest, first: int, end: int, now_ms: int
) -> _Learning:
    """Where the one before left off. Of a state that is lost, what can be read of it stays. `first`, `end`: of
    `audits`."""
    certificate = newest.certificates.get(name)
    lost: object = None
    if name in newest.lost:
        why, lost = "its certificate cannot be read", newest.lost[name]
    elif certificate is None:
        if newest.certificates or newest.lost or first == 0:  # it is new, or all that was ever audited is there
            judged = StreamQuality(name, quality, stream.version, audit_min=stream.audit_min)
            return _Learning(name, stream, judged, first)
        why = f"there is no certificate, and the audits before {first} are gone"
    elif certificate.offset > end:
        why, lost = f"its state goes to audit {certificate.offset}, and there are {end}", certificate.state
    else:
        try:
            judged = StreamQuality.load(certificate.state, quality, stream.version, audit_min=stream.audit_min)
        except (ValueError, KeyError, TypeError) as error:
            why, lost = f"its state cannot be read: {error!r}", certificate.state
        else:
            learning = _Learning(name, stream, judged, certificate.offset, certificate.coin)
            learning.cost_usd_micros = certificate.cost_usd_micros
            is_its = (certificate.policy_version, certificate.claim) == (stream.version, claim_of(quality))
            learning.said = certificate if is_its else None
            return learning
    log.error("%s: %s: it begins anew", name, why)
    judged = StreamQuality.anew(name, quality, stream.version, lost, now_ms, audit_min=stream.audit_min)
    return _Learning(name, stream, judged, first, "" if certificate is None else certificate.coin)


def _removed(read_to: int, came_to: int, begins: int) -> int:
    """Offsets that were removed before they were read. What is skipped above the beginning of the log are markers and
    aborted records; where reading goes on below it, nothing was skipped."""
    return max(0, begins - read_to) if came_to >= begins else 0


def stream_in(audit: bytes) -> str | None:
    """The stream that an audit names which cannot be read otherwise."""
    try:
        found = orjson.loads(audit)
    except orjson.JSONDecodeError:
        return None
    named = found.get("stream") if isinstance(found, dict) else None
    return named if isinstance(named, str) else None


def input_topic(audit: Record) -> str | None:
    """Of the message that an audit is about, by the `ce_id` that triage gives it: `topic/partition/offset#audit`."""
    id_ = next((value for name, value in audit.headers if name == "ce_id" and value), b"").decode(errors="replace")
    topic, *rest = id_.split("/")
    return topic if len(rest) == 2 and rest[1].endswith("#audit") else None


def _certificate(learning: _Learning, standing: Standing, now_ms: int) -> Certificate:
    return Certificate(
        stream=learning.name,
        policy_version=learning.spec.version,
        claim=learning.judged.claim,
        standing=standing,
        report=asdict(learning.judged.report(now_ms)),
        state=learning.judged.dump(),
        cost_usd_micros=learning.cost_usd_micros,
        offset=learning.offset,
        at_ms=now_ms,
        coin=learning.coin,
    )


def _in_words(standing: Standing) -> str:
    """What an operator wants to know of a new standing; `sluice quality` has the rest."""
    if standing.off:
        return "whatever is below the reference is switched off; `sluice policy on` lets it answer again"
    free = standing.free_version and f"memory and student (version {standing.free_version})"
    batches = "nano in batches" if standing.certified_batches else None
    certified = " and ".join(filter(None, (free, batches)))
    audited = f"; {standing.audit_probability:.2%} of such answers are audited" if certified else ""
    trial = f"; version {standing.candidate} is on trial" if standing.candidate is not None else ""
    tried = f"; {standing.candidate_model} is tried in nano's place" if standing.candidate_model is not None else ""
    return f"certified to answer in the reference's place: {certified or 'nothing'}{audited}{trial}{tried}"


def _show(stream: str, standing: Standing) -> None:
    metrics.CERTIFIED.labels(stream, "free").set(standing.free_version is not None)
    metrics.CERTIFIED.labels(stream, "batch").set(standing.batch_certified)


def _whole(kept: Kept, taught: Taught, parts: int) -> Kept:
    sha256 = student_records.digest(taught.dump)
    return replace(kept, version=taught.version, parts=parts, bytes=len(taught.dump), sha256=sha256)


def _kept(students: Sequence[Kept], learning: _Learning, now_ms: int) -> tuple[Kept, ...]:
    """Those that may be asked yet: the newest two, what is pinned or answers, what is certified besides, and then the
    newest of the others."""
    report = learning.judged.report(now_ms)
    certified = {each.version for each in report.versions if each.rule == "free" and each.certified}

    def rank(each: Kept) -> tuple[bool, bool, bool, int]:
        def is_of(versions: Collection[str | None]) -> bool:
            return any(version is not None and student_of(version) == each.version for version in versions)

        answers = is_of((report.pinned, report.standing.free_version))
        return each in students[-2:], answers, is_of(certified), students.index(each)

    stays = sorted(students, key=rank)[-limits.STUDENTS_KEPT_MAX :]
    return tuple(each for each in students if each in stays)
