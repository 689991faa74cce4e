"""How many sessions of the same forms are asked about before memory answers for all of them.

Exact memory keeps what was said once; but sessions with equal counts are different texts, and one slip about a common
session would be repeated thousands of times. So the first SESSION_VOTES_MIN of a kind are asked about each, and where
they do not agree more are, up to SESSION_VOTES_MAX; then memory gives the answer that most of them had. What a model
says of the kind later, as where the reference judges sessions that memory knows, is a vote as well, of
SESSION_VOTES_KEPT: beyond them it takes the place of any. A kind's votes are told apart by a number that is part of
what memory knows them by: memory has the votes, and nothing else does.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from processors.items import Item
from topics.limits import SESSION_VOTES_KEPT, SESSION_VOTES_MAX, SESSION_VOTES_MIN
from topics.messages import Verdict

_NUMBERS = [chr(ord("0") + number) for number in range(SESSION_VOTES_KEPT)]  # one character each, the last of the text


class Votes:
    """Of one stream and version of its policy."""

    def __init__(self, remembered: Callable[[str, str], Verdict | None], rng: random.Random) -> None:
        """`remembered`: what exact memory has of a tenant's text."""
        self._remembered = remembered
        self._rng = rng

    def of(self, session: Item) -> Item:
        """The session as it is asked about: as a vote that is missing, or as one that memory has and that says what
        most of them do. While votes are on their way, others wait for the same."""
        said = self._said(session.tenant, session.memory_text)
        agree = len(set(said.values())) <= 1
        wanted = SESSION_VOTES_MIN if agree or len(said) < SESSION_VOTES_MIN else SESSION_VOTES_MAX
        if len(said) < wanted:
            missing = [number for number in _NUMBERS[:wanted] if number not in said]
            return _numbered(session, session.memory_text, self._rng.choice(missing))
        ((most, _),) = Counter(said.values()).most_common(1)
        return _numbered(session, session.memory_text, next(number for number, label in said.items() if label == most))

    def heard(self, vote: Item) -> Item:
        """As what memory keeps a model's answer about `vote`, which is of `of`: itself where its answer was missing.
        What memory has of another session stays, until there are too many: to answer is not to change one's mind."""
        kind = vote.memory_text[:-1]
        said = self._said(vote.tenant, kind)
        if vote.memory_text[-1] not in said:
            return vote
        missing = [number for number in _NUMBERS if number not in said]
        return _numbered(vote, kind, missing[0] if missing else self._rng.choice(_NUMBERS))

    def _said(self, tenant: str, kind: str) -> Mapping[str, str]:
        """Labels by number."""
        said = {}
        for at, number in enumerate(_NUMBERS):
            if (verdict := self._remembered(tenant, kind + number)) is not None:
                said[number] = verdict.label
            elif at >= SESSION_VOTES_MAX:
                break  # from there on `heard` gives out the numbers one after the other
        return said


def _numbered(session: Item, kind: str, number: str) -> Item:
    return replace(session, memory_text=kind + number)
