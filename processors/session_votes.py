"""How many sessions of the same forms are asked about before memory answers for all of them.

Exact memory keeps what was said once; but sessions with equal counts are different texts, and one slip about a common
session would be repeated thousands of times. So the first SESSION_VOTES_MIN of a kind are asked about each, and where
they do not agree more are, up to SESSION_VOTES_MAX; then memory gives the answer that most of them had. A kind's votes
are told apart by a number that is part of what memory knows them by: memory has the votes, and nothing else does.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from processors.items import Item
from topics.limits import SESSION_VOTES_MAX, SESSION_VOTES_MIN
from topics.messages import Verdict


class Votes:
    """Of one stream and version of its policy."""

    def __init__(self, remembered: Callable[[Item], Verdict | None]) -> None:
        """`remembered`: what exact memory has."""
        self._remembered = remembered
        self._turns = 0

    def of(self, session: Item) -> Item:
        """The session as it is asked about: as a vote that is missing, or as one that memory has and that says what
        most of them do. While votes are on their way, others wait for the same."""
        votes = [replace(session, memory_text=f"{session.memory_text}{number}") for number in range(SESSION_VOTES_MAX)]
        said = {at: verdict.label for at, vote in enumerate(votes) if (verdict := self._remembered(vote)) is not None}
        agree = len(set(said.values())) <= 1
        wanted = SESSION_VOTES_MIN if agree or len(said) < SESSION_VOTES_MIN else SESSION_VOTES_MAX
        if missing := [at for at in range(wanted) if at not in said]:
            self._turns += 1
            return votes[missing[self._turns % len(missing)]]
        ((most, _),) = Counter(said.values()).most_common(1)
        return next(votes[at] for at, label in said.items() if label == most)
