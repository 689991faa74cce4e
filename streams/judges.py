"""The triage of every stream, kept up with what changes while it runs: policy, certificates, students, memory."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakSet

from processors.asking import Jobs, Model
from processors.clock import Clock
from processors.memory import Memory
from processors.policy import Policy, Stream
from processors.quality.standing import UNPROVEN, Standing
from processors.triage import Triage
from streams.brokers import Brokers
from streams.shared import Standings, follow_quality, follow_students, wanted
from streams.shared_memory import SharedMemory
from streams.student_records import Kept
from topics import limits

if TYPE_CHECKING:
    from processors.student.student import Student


class Judges:
    """One Triage a stream, replaced where its policy changes. One memory for all."""

    def __init__(
        self, policy: Policy, model: Model, *, clock: Clock, rng: random.Random, jobs: Jobs | None = None
    ) -> None:
        """`jobs`: of Batch jobs, where records can be parked."""
        self._model = model
        self._jobs = jobs
        self._clock = clock
        self._rng = rng
        self._memory = Memory(limits.MEMORY_ENTRIES_MAX)
        self.shared = SharedMemory(clock, by=f"{rng.getrandbits(64):016x}")
        self._alive: WeakSet[Triage] = WeakSet()  # one that was replaced is there as long as a message waits for it
        self._standings: dict[str, Standing] = {}
        self._certificates: Standings | None = None  # once they are followed
        self._students: dict[str, dict[str, tuple[str, Student]]] = {}
        """By stream and version, the oldest first: the policy version that each was taught for, and itself."""
        self._policy = policy
        self._of = {name: self._triage(name, stream) for name, stream in policy.streams.items()}

    def of(self, stream: str) -> Triage:
        return self._of[stream]

    def adopt(self, policy: Policy) -> Mapping[str, Triage]:
        """Another policy. The triage of each topic whose stream has changed."""
        before, self._policy = self._policy, policy
        changed = {name: stream for name, stream in policy.streams.items() if stream != before.streams[name]}
        for name, stream in changed.items():
            self._of[name] = self._triage(name, stream)
            if wanted(policy).get(name) != wanted(before).get(name):
                self._standings.pop(name, None)  # of other labels or words, or under another claim, nothing is proven
            self._tell(name)
        if self._certificates is not None:
            self._certificates.adopt(policy)
        return {topic: self._of[name] for name, stream in changed.items() for topic in stream.topics}

    def certify(self, stream: str, standing: Standing) -> None:
        """What the stream's audits allow from here on."""
        self._standings[stream] = standing
        self._tell(stream)

    def teach(self, stream: str, kept: Kept, student: "Student") -> None:
        """A new student of the stream."""
        self._students.setdefault(stream, {})[kept.version] = kept.policy_version, student
        self._tell(stream)

    def forget(self, stream: str, version: str) -> None:
        """A student that is kept no longer."""
        self._students.get(stream, {}).pop(version, None)
        self._tell(stream)

    @asynccontextmanager
    async def kept_up(self, brokers: Brokers) -> AsyncIterator[None]:
        """Follows what workers share as long as the context is open: memory, certificates and students. Entered, all
        that is there is known."""
        names, streams = self._policy.kafka.names, list(self._policy.streams)
        students = follow_students(names, streams, brokers, _loaded, self.teach, self.forget)
        certificates = follow_quality(self._policy, brokers, self._clock, self.certify)
        async with self.shared.open(brokers, names), students, certificates as self._certificates:
            yield

    async def close(self) -> None:
        """Abandons the calls under way."""
        for triage in tuple(self._alive):
            await triage.close()

    def _triage(self, name: str, stream: Stream) -> Triage:
        triage = Triage(
            name,
            stream,
            self._policy,
            self._model,
            clock=self._clock,
            rng=self._rng,
            memory=self._memory,
            remember=self.shared.remember,
            jobs=self._jobs,
        )
        self._alive.add(triage)
        for kind, learner in triage.learners.items():
            self.shared.listen(name, kind, learner)
        return triage

    def _tell(self, name: str) -> None:
        """The stream's referee, what is known."""
        from processors.student.proposer import StudentProposer  # as in _loaded

        stream = self._policy.streams[name]
        if (referee := self._of[name].referee) is not None:
            referee.adopt(
                self._standings.get(name, UNPROVEN),
                {
                    version: StudentProposer(student, stream)
                    for version, (taught_for, student) in self._students.get(name, {}).items()
                    if taught_for == stream.version  # else it knows another policy's labels
                },
            )


def _loaded(dump: bytes) -> "Student":
    from processors.student.student import Student  # numpy takes its time to load: not for --help

    return Student.load(dump)
