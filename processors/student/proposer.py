"""What a student proposes about a stream's messages."""

from collections.abc import Mapping, Sequence

from processors.items import Item
from processors.policy import Label, Stream
from processors.proposals import Proposal
from processors.student.lessons import student_text
from processors.student.student import Student
from topics.messages import Severity, Verdict

# As a rule's label speaks that has no `priority` of its own (processors/rules.py).
_PRIORITY: Mapping[Severity | None, int] = {"critical": 90, "error": 70, "warning": 50, "info": 10, None: 10}


class StudentProposer:
    """A Proposer. What a student cannot give, it does not answer: where the stream asks for `fields` or a `summary`, it
    proposes only labels without severity that climb to no agent, because alerts and agents live of them."""

    def __init__(self, student: Student, stream: Stream) -> None:
        """A label that the stream no longer has is never proposed."""
        asks = bool(stream.fields) or stream.summary is not None
        self._student = student
        self._answers = {
            name: (label.severity, _PRIORITY[label.severity])
            for name in student.labels
            if (label := stream.labels.get(name)) is not None and not (asks and _is_looked_at(label))
        }

    @property
    def version(self) -> str:
        """The student's."""
        return self._student.version

    def propose(self, item: Item) -> Proposal | None:
        """None for a label that it may not answer, and for what is novel."""
        return self.propose_all((item,))[0]

    def propose_all(self, items: Sequence[Item]) -> list[Proposal | None]:
        """The same for a batch, which costs a tenth each."""
        judged = self._student.judge([student_text(item) for item in items])
        return [self._proposal(label, score) for label, score in judged]

    def _proposal(self, label: str, score: float) -> Proposal | None:
        answer = self._answers.get(label)
        if answer is None or score == 0.0:
            return None
        severity, priority = answer
        return Proposal(
            Verdict(
                tier="student",
                label=label,
                severity=severity,
                confidence=score,
                priority=priority,
                fields={},
                summary=None,
                model=None,
            ),
            score,
        )


def _is_looked_at(label: Label) -> bool:
    """Whether somebody reads the fields of its messages: an alert, or an agent."""
    return label.severity is not None or label.escalate in ("mini", "flagship")
