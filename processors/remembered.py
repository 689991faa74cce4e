"""What memory knows of one text or one kind of text, as workers tell each other."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from topics import limits
from topics.messages import Verdict

MemoryKind = Literal["exact", "template", "near"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """An answer that was paid for, and how often it was given and contradicted."""

    stream: str
    kind: MemoryKind
    digest: str  # hex, of tenant, text or signature, policy version and model: nobody can write another's
    tenant: str
    ids: tuple[str, ...]  # messages that it was learnt from: a dialogue's turns, else as `kept_ids` has them
    event_ms: int  # the stream's own time when it was learnt last
    policy_version: str
    model: str  # whose answers these are: as the policy names the model of nano's tier
    verdict: Verdict
    counts: Mapping[str, float] = field(default_factory=dict)  # answers by label; the old ones weigh less
    run: int = 0  # how many of the latest answers agreed with each other
    signature: str | None = None  # of a template
    features: str | None = None  # of a mail, as NearDuplicates has them
    at_ms: int = 0  # when it was told to others, epoch milliseconds; 0: not yet
    by: str = ""  # who told it


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What is to be forgotten: all of a tenant, or all that was learnt from one message. What was told later stays."""

    at_ms: int  # epoch milliseconds
    tenant: str | None = None
    id: str | None = None


class Erasures:
    """What was erased: the latest MEMORY_ERASURES_MAX of it."""

    def __init__(self) -> None:
        self._until_ms: OrderedDict[tuple[str | None, str | None], int] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._until_ms)

    def add(self, erased: Erased) -> None:
        name = (erased.tenant, erased.id)
        self._until_ms[name] = max(erased.at_ms, self._until_ms.pop(name, 0))
        if len(self._until_ms) > limits.MEMORY_ERASURES_MAX:
            self._until_ms.popitem(last=False)

    def cover(self, tenant: str, ids: Sequence[str], at_ms: int) -> bool:
        """Whether an entry goes that was told at that time; 0 for one that was not told yet."""
        if at_ms <= self._until_ms.get((tenant, None), -1):
            return True
        return any(at_ms <= self._until_ms.get((None, id_), -1) for id_ in ids)


def kept_ids(ids: Sequence[str]) -> tuple[str, ...]:
    """Of the messages that an entry was learnt from, those that are named: the first, whose words it may hold, and the
    latest; MEMORY_IDS_MAX in all."""
    each = tuple(dict.fromkeys(ids))
    return each if len(each) <= limits.MEMORY_IDS_MAX else (each[0], *each[1 - limits.MEMORY_IDS_MAX :])


class Learner(Protocol):
    """A memory that takes from others. Synchronous, on the event loop, and quick."""

    def heard(self, entry: Remembered) -> None:
        """Of this stream and kind; of whatever policy version. May come again."""
        ...

    def forget(self, digest: str) -> None:
        """Somebody erased it. Called for what is not there, too."""
        ...

    def erase(self, erasures: Erasures) -> None:
        """Forgets all that they cover."""
        ...
