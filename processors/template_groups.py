"""Signatures that differ in one word only: where many words stood and the answers agreed, the word is a parameter.

Names are such words, as in `Invalid user <name> from <*>`: without this each of them would be asked anew for ever. A
word that carries the outcome is never one.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Protocol

from processors.template_counts import Counts
from processors.template_signatures import STATUSES
from processors.template_words import carries_outcome
from topics import limits


class Grouping(Protocol):
    """Used only where a signature is not known by itself. Bounded."""

    def learn(self, tenant: str, signature: str, label: str) -> None:
        """One answer about a line of the signature."""
        ...

    def find(self, tenant: str, signature: str) -> "Group | None":
        """The group that such a signature belongs to; None where there is none, or where it is unstable."""
        ...

    def clear(self) -> None:
        """Forgets all."""
        ...


class Group:
    """Signatures that are taken for one."""

    __slots__ = ("counts", "member", "words")

    def __init__(self, member: str) -> None:
        self.counts = Counts()
        self.member = member  # that was answered last as most of them were
        self.words: set[str] = set()  # that stood in the gap; as many as are needed


class OneWordApart:
    """Groups of signatures that are equal but for one word. The group unused longest is forgotten first."""

    def __init__(self) -> None:
        # Python's own hash has a secret of the process: nobody outside can make two of them equal
        self._groups: OrderedDict[int, Group] = OrderedDict()

    def learn(self, tenant: str, signature: str, label: str) -> None:
        for key, word in _gaps(tenant, signature):
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = Group(signature)
                if len(self._groups) > limits.TEMPLATE_GROUPS_MAX:
                    self._groups.popitem(last=False)
            self._groups.move_to_end(key)
            group.counts.add(label)
            if group.counts.label == label:
                group.member = signature
            if len(group.words) < limits.TEMPLATE_GAP_WORDS_MIN:
                group.words.add(word)

    def find(self, tenant: str, signature: str) -> Group | None:
        """Of several the one with the most answers; none where one of them is unstable."""
        found: Group | None = None
        for key, _ in _gaps(tenant, signature):
            group = self._groups.get(key)
            if group is None or len(group.words) < limits.TEMPLATE_GAP_WORDS_MIN:
                continue
            if group.counts.unstable:
                return None
            if found is None or group.counts.total > found.counts.total:
                found = group
        return found

    def clear(self) -> None:
        self._groups.clear()


def _gaps(tenant: str, signature: str) -> Iterator[tuple[int, str]]:
    """Each word that may be a parameter, with a hash of all the others."""
    event, _, statuses = signature.partition(STATUSES)
    words = event.split(" ")
    if len(words) > limits.TEMPLATE_WORDS_MAX:
        return
    hashes = [hash(word) for word in words]
    for at, word in enumerate(words):
        # Of a gap beside nothing but masks no more could be said than of any line
        if word and word != "<*>" and not carries_outcome(word) and len(words) > 2:
            yield hash((tenant, statuses, at, *hashes[:at], *hashes[at + 1 :])), word
