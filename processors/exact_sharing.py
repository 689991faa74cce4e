"""Exact memory told to other workers, heard from them, and erased by tenant, by message and by age."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, Protocol

from processors.clock import Clock
from processors.items import Item
from processors.policy import Stream
from processors.remembered import Erasures, Remembered
from topics.limits import MEMORY_AGE_MS_MAX, MEMORY_ENTRIES_MAX
from topics.messages import Verdict


class Store(Protocol):
    """Exact memory itself."""

    def put(self, key: bytes, verdict: Verdict) -> None: ...

    def forget(self, key: bytes) -> None:
        """Also where it is not there."""
        ...


class _Origin(NamedTuple):
    tenant: str
    ids: tuple[str, ...]
    at_ms: int  # as Remembered has it
    since_ms: int  # epoch milliseconds: when it was paid for, or told by others


class ExactSharing:
    """Of one stream under one policy and model; a Learner of kind `exact`. Keys are those of Keys.key."""

    def __init__(
        self,
        name: str,
        stream: Stream,
        model: str,
        store: Store,
        clock: Clock,
        *,
        remember: Callable[[Remembered], None],
    ) -> None:
        self._name = name
        self._version = stream.version
        self._model = model
        self._labels = set(stream.labels)
        self._store = store
        self._clock = clock
        self._remember = remember
        self._origins: OrderedDict[bytes, _Origin] = OrderedDict()  # where each entry comes from, to be erased by

    def put(self, key: bytes, item: Item, verdict: Verdict) -> None:
        """What was paid for: remembered, and told to the others. `verdict` has the tier `memory`."""
        ids = (*item.made_of, item.id)
        self._store.put(key, verdict)
        self._note(key, _Origin(item.tenant, ids, 0, round(self._clock.time() * 1000)))
        self._remember(
            Remembered(
                stream=self._name,
                kind="exact",
                digest=key.hex(),
                tenant=item.tenant,
                ids=ids,
                event_ms=item.source.timestamp_ms,
                policy_version=self._version,
                model=self._model,
                verdict=verdict,
            )
        )

    def heard(self, entry: Remembered) -> None:
        if entry.policy_version != self._version or entry.model != self._model:
            return
        if entry.verdict.label not in self._labels or (key := _key(entry.digest)) is None:
            return
        self._store.put(key, replace(entry.verdict, tier="memory"))
        self._note(key, _Origin(entry.tenant, entry.ids, entry.at_ms, entry.at_ms))

    def forget(self, digest: str) -> None:
        if (key := _key(digest)) is not None:
            self._store.forget(key)
            self._origins.pop(key, None)

    def erase(self, erasures: Erasures) -> None:
        for key, origin in list(self._origins.items()):
            if erasures.cover(origin.tenant, origin.ids, origin.at_ms):
                self._store.forget(key)
                del self._origins[key]

    def expire(self) -> None:
        """Forgets what no model has said again for MEMORY_AGE_MS_MAX: it is asked anew. Costs next to nothing."""
        while self._origins:
            key = next(iter(self._origins))  # noted longest ago
            if self._clock.time() * 1000 - self._origins[key].since_ms <= MEMORY_AGE_MS_MAX:
                break
            self._store.forget(key)
            del self._origins[key]

    def _note(self, key: bytes, origin: _Origin) -> None:
        """As many as memory has entries: what was noted longest ago is forgotten whole."""
        self._origins[key] = origin
        self._origins.move_to_end(key)
        if len(self._origins) > MEMORY_ENTRIES_MAX:
            oldest, _ = self._origins.popitem(last=False)
            self._store.forget(oldest)


def _key(digest: str) -> bytes | None:
    try:
        return bytes.fromhex(digest)
    except ValueError:
        return None
