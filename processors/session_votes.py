"""How many sessions of the same forms are asked about before memory answers for all of them.

Exact memory keeps what was said once; but sessions with equal counts are different texts, and one slip about a common
session would be repeated thousands of times. So the first SESSION_VOTES_MIN of a kind are asked about each, and where
they do not agree more are, up to SESSION_VOTES_MAX; then memory gives the answer that most of them had. A kind's votes
are told apart by a number that is part of what memory knows them by.
"""

from collections import Counter
from dataclasses import dataclass, field

from processors.cache import Cache
from topics.limits import SESSION_KINDS_MAX, SESSION_VOTES_MAX, SESSION_VOTES_MIN


@dataclass(slots=True)
class _Kind:
    """Sessions of one tenant and the same forms."""

    turns: int = 0
    labels: dict[int, str] = field(default_factory=dict)  # by the vote's number


class Votes:
    """One a stream and version of its policy."""

    def __init__(self) -> None:
        self._kinds: Cache[tuple[str, str], _Kind] = Cache(SESSION_KINDS_MAX)

    def number(self, tenant: str, memory_text: str) -> int:
        """Whose vote the next session of its kind is asked for, or which it takes. While votes are on their way,
        others wait for the same."""
        kind = self._kinds.get((tenant, memory_text))
        if kind is None:
            kind = _Kind()
            self._kinds.put((tenant, memory_text), kind)
        wanted = SESSION_VOTES_MIN
        if len(kind.labels) >= wanted and len(set(kind.labels.values())) > 1:
            wanted = SESSION_VOTES_MAX
        missing = [number for number in range(wanted) if number not in kind.labels]
        if not missing:
            ((label, _),) = Counter(kind.labels.values()).most_common(1)
            return next(number for number, said in kind.labels.items() if said == label)
        kind.turns += 1
        return missing[kind.turns % len(missing)]

    def told(self, tenant: str, memory_text: str, number: int, label: str) -> None:
        """What was said at that number. The last answer is the vote: of those before it memory was not sure enough."""
        kind = self._kinds.get((tenant, memory_text))
        if kind is not None:
            kind.labels[number] = label
