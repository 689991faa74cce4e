"""How many sessions of the same forms are asked about before memory answers for all of them.

Exact memory keeps what was said once; but sessions with equal counts are different texts, and one slip about a common
session would be repeated thousands of times. So the first SESSION_VOTES_MIN of a kind are asked about each, and where
they do not agree more are, up to SESSION_VOTES_MAX; then memory gives the answer that most of them had. A kind's votes
are told apart by a number that is part of what memory knows them by.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from processors.cache import Cache
from processors.items import Item
from topics.limits import SESSION_KINDS_MAX, SESSION_VOTES_MAX, SESSION_VOTES_MIN


@dataclass(slots=True)
class _Kind:
    """Sessions of one tenant and the same forms."""

    turns: int = 0
    labels: dict[int, str] = field(default_factory=dict)  # by the vote's number

    def next(self) -> int:
        """Whose turn it is: one of those that are missing, or, where none is, one that said what most of them did."""
        wanted = SESSION_VOTES_MIN
        if len(self.labels) >= wanted and len(set(self.labels.values())) > 1:
            wanted = SESSION_VOTES_MAX
        missing = [number for number in range(wanted) if number not in self.labels]
        if not missing:
            ((most, _),) = Counter(self.labels.values()).most_common(1)
            return next(number for number, label in self.labels.items() if label == most)
        self.turns += 1
        return missing[self.turns % len(missing)]


@dataclass(frozen=True, slots=True)
class Vote:
    """One session's. `item`: the session as triage is asked about it; memory knows it by the vote's number, too."""

    item: Item
    _kind: _Kind
    _number: int

    def told(self, label: str) -> None:
        """What was said. The last answer is the vote: of those before it memory was not sure enough."""
        self._kind.labels[self._number] = label


class Votes:
    """One a stream and version of its policy."""

    def __init__(self) -> None:
        self._kinds: Cache[tuple[str, str], _Kind] = Cache(SESSION_KINDS_MAX)

    def of(self, session: Item) -> Vote:
        """The vote that is asked for with this session, or that it takes. While votes are on their way, others wait
        for the same."""
        name = session.tenant, session.memory_text
        kind = self._kinds.get(name)
        if kind is None:
            kind = _Kind()
            self._kinds.put(name, kind)
        number = kind.next()
        return Vote(replace(session, memory_text=f"{session.memory_text}{number}"), kind, number)
