"""Near-duplicate memory: a mail that differs from one already answered in nothing that carries the outcome.

MinHash (rensa) finds candidates; their word shingles are then compared exactly. Never by embeddings: texts can be
written that embed alike and say the opposite. A near-duplicate has at least JACCARD_MIN of its shingles in common, the
same words of outcome in the same order, and the same hosts and addresses, so that nobody gets another link past it
under a known text. Numbers may differ.
"""

import base64
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray
from rensa import RMinHash

from processors.injection import gives_orders
from processors.items import Item
from processors.policy import Stream
from processors.proposals import Proposal
from processors.remembered import Erasures, Remembered, kept_ids
from processors.template_counts import Counts, Experience
from processors.template_words import outcomes
from topics import limits
from topics.messages import Verdict

JACCARD_MIN = 0.85
_SHINGLE_WORDS = 3
_PERMUTATIONS = 128
_BANDS = 16  # of 8 hashes each: two texts with 0.85 in common meet in one of them in 99.4% of cases, with 0.5 in 6%
_ESTIMATE_MIN = JACCARD_MIN - 0.13  # four standard deviations of the estimate
_SEED = 1  # the same in every worker
_MODELS = ("nano", "mini", "flagship")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_DIGITS = re.compile(r"\d+")
_MAY_BE_PLACE = re.compile(r"[\w.+@-]+")

Hashes = NDArray[np.uint64]


class Features(NamedTuple):
    """What candidates are found by."""

    bands: tuple[bytes, ...]  # equal ones make a candidate
    minhash: NDArray[np.uint32]  # shape (_PERMUTATIONS,)
    shingles: Sequence[str]  # distinct


def features(text: str) -> Features | None:
    """None for a text that is too short or too long for this."""
    words = _WORD.findall(_DIGITS.sub("0", text.lower()))
    if not limits.NEAR_WORDS_MIN <= len(words) <= limits.NEAR_WORDS_MAX:
        return None
    shingles = list(dict.fromkeys(map(" ".join, zip(*(words[at:] for at in range(_SHINGLE_WORDS)), strict=False))))
    sketch = RMinHash(num_perm=_PERMUTATIONS, seed=_SEED)
    sketch.update(shingles)
    minhash = np.array(sketch.digest(), dtype=np.uint32)
    return Features(_bands(minhash), minhash, shingles)


def carried(text: str) -> bytes:
    """A digest of what has to be equal: words of outcome in their order, hosts and addresses."""
    found = {place.strip(".+-").lower() for place in _MAY_BE_PLACE.findall(text) if "@" in place or "." in place}
    places = sorted(
        place for place in found if "@" in place or (dots := place.count(".")) == 3 or _is_host(place, dots)
    )
    return hashlib.blake2b(orjson.dumps([outcomes(text), places]), digest_size=16).digest()


def _is_host(place: str, dots: int) -> bool:
    return dots > 0 and not place.rpartition(".")[2].isdigit()


def _bands(minhash: NDArray[np.uint32]) -> tuple[bytes, ...]:
    rows = _PERMUTATIONS // _BANDS
    return tuple(bytes([at]) + minhash[at * rows : (at + 1) * rows].tobytes() for at in range(_BANDS))


def hashed(shingles: Sequence[str]) -> Hashes:
    """Sorted 64-bit cryptographic hashes: nobody writes a text whose shingles only seem to be another's."""
    joined = b"".join(hashlib.blake2b(shingle.encode(errors="replace"), digest_size=8).digest() for shingle in shingles)
    return np.unique(np.frombuffer(joined, dtype=np.uint64))


def jaccard(ours: Hashes, theirs: Hashes) -> float:
    """Exact, of two sets."""
    common = len(np.intersect1d(ours, theirs, assume_unique=True))
    return common / (len(ours) + len(theirs) - common)


class _Entry:
    """A mail that was answered, and what models said of it and its near-duplicates."""

    __slots__ = (
        "at_ms",
        "bands",
        "carried",
        "counts",
        "digest",
        "event_ms",
        "hashes",
        "ids",
        "minhash",
        "tenant",
        "verdict",
    )

    def __init__(
        self, digest: str, tenant: str, carried: bytes, minhash: NDArray[np.uint32], hashes: Hashes, verdict: Verdict
    ) -> None:
        self.digest = digest
        self.tenant = tenant
        self.carried = carried
        self.minhash = minhash
        self.hashes = hashes
        self.verdict = verdict
        self.counts = Counts()
        self.ids: tuple[str, ...] = ()
        self.event_ms = 0
        self.at_ms = 0  # when another worker told of it last; 0: none has
        self.bands = tuple((tenant, band) for band in _bands(minhash))


class NearDuplicates:
    """Of one stream under one policy and model; NEAR_ENTRIES_MAX mails, the one unused longest is forgotten first."""

    def __init__(
        self,
        name: str,
        stream: Stream,
        model: str,
        *,
        remember: Callable[[Remembered], None] = lambda _: None,
    ) -> None:
        """As of Templates."""
        self._name = name
        self._version = stream.version
        self._model = model
        self._scope = hashlib.blake2b(orjson.dumps([name, self._version, model, "near"])).digest()
        self._severities = {label: told.severity for label, told in stream.labels.items()}
        self._labels = {
            label
            for label, severity in self._severities.items()
            if not (severity and (stream.fields or stream.summary))
        }
        self._fields = dict.fromkeys(stream.fields)
        self._remember = remember
        self._experience = Experience()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # by digest
        self._buckets: dict[tuple[str, bytes], list[str]] = {}  # digests by tenant and band

    def __len__(self) -> int:
        return len(self._entries)

    def propose(self, item: Item) -> Proposal | None:
        found = None if item.truncated else features(item.text)
        entry = None if found is None else self._nearest(item, found)
        if entry is None or item.source.timestamp_ms - entry.event_ms > limits.MEMORY_AGE_MS_MAX:
            return None
        label = entry.counts.label
        if label not in self._labels or entry.verdict.label != label or entry.counts.unstable:
            return None
        if gives_orders(item.text):  # in the part that differs
            return None
        self._entries.move_to_end(entry.digest)
        return Proposal(entry.verdict, self._experience.score(entry.counts))

    def learn(self, item: Item, verdict: Verdict) -> None:
        """A model's answer. Not of a text that gives orders: it may have dictated it."""
        if verdict.tier not in _MODELS or item.truncated or verdict.label not in self._severities:
            return
        found = features(item.text)
        if found is None or gives_orders(item.text):
            return
        own = self._own(verdict)
        entry = self._nearest(item, found)
        if entry is None:
            hashes, carries = hashed(found.shingles), carried(item.text)
            digest = self._digest(item.tenant, carries, hashes)
            entry = self._put(_Entry(digest, item.tenant, carries, found.minhash, hashes, own))
        agreed = entry.counts.add(verdict.label)
        if agreed is not None:
            self._experience.add(float(agreed), float(not agreed))
        if entry.counts.label == verdict.label:
            entry.verdict = own
        entry.ids = kept_ids((*entry.ids, item.id))
        entry.event_ms = max(entry.event_ms, item.source.timestamp_ms)
        self._entries.move_to_end(entry.digest)
        self._remember(self._remembered(entry))

    def heard(self, entry: Remembered) -> None:
        """Another worker's entry, of this policy and model or not."""
        if entry.policy_version != self._version or entry.model != self._model or entry.features is None:
            return
        told = _unpacked(entry.features)
        if told is None or entry.verdict.label not in self._severities:
            return
        carries, minhash, hashes = told
        if entry.digest != self._digest(entry.tenant, carries, hashes):
            return
        mine = self._entries.get(entry.digest)
        if mine is None:
            mine = self._put(_Entry(entry.digest, entry.tenant, carries, minhash, hashes, self._own(entry.verdict)))
            most = max(entry.counts.values(), default=0.0)
            self._experience.add(max(most - 1, 0.0), sum(entry.counts.values()) - most)
        mine.counts.merge(entry.counts, entry.run)
        if mine.counts.by_label and mine.counts.label == entry.verdict.label:
            mine.verdict = self._own(entry.verdict)
        mine.ids = kept_ids((*mine.ids, *entry.ids))
        mine.event_ms = max(mine.event_ms, entry.event_ms)
        mine.at_ms = max(mine.at_ms, entry.at_ms)

    def forget(self, digest: str) -> None:
        entry = self._entries.pop(digest, None)
        if entry is not None:
            self._unlink(entry)

    def erase(self, erasures: Erasures) -> None:
        for entry in list(self._entries.values()):
            if erasures.cover(entry.tenant, entry.ids, entry.at_ms):
                self.forget(entry.digest)

    def _nearest(self, item: Item, found: Features) -> _Entry | None:
        """The nearest of those that are near enough and carry the same."""
        digests = {digest for band in found.bands for digest in self._buckets.get((item.tenant, band), ())}
        candidates = [
            entry
            for entry in (self._entries[digest] for digest in sorted(digests))
            if np.count_nonzero(entry.minhash == found.minhash) >= _ESTIMATE_MIN * _PERMUTATIONS
        ]
        if not candidates:
            return None
        best, nearest = JACCARD_MIN, None
        hashes, carries = hashed(found.shingles), carried(item.text)
        for entry in candidates:
            near = jaccard(hashes, entry.hashes) if entry.carried == carries else 0.0
            if near >= best:
                best, nearest = near, entry
        return nearest

    def _put(self, entry: _Entry) -> _Entry:
        if entry.digest in self._entries:
            return self._entries[entry.digest]
        self._entries[entry.digest] = entry
        for place in entry.bands:
            bucket = self._buckets.setdefault(place, [])
            bucket.append(entry.digest)
            del bucket[: -limits.NEAR_BUCKET_MAX]
        if len(self._entries) > limits.NEAR_ENTRIES_MAX:
            self._unlink(self._entries.popitem(last=False)[1])
        return entry

    def _unlink(self, entry: _Entry) -> None:
        for place in entry.bands:
            bucket = [digest for digest in self._buckets.get(place, ()) if digest != entry.digest]
            if bucket:
                self._buckets[place] = bucket
            else:
                self._buckets.pop(place, None)

    def _own(self, verdict: Verdict) -> Verdict:
        severity = self._severities[verdict.label]
        return replace(verdict, tier="memory", severity=severity, fields=self._fields, summary=None)

    def _digest(self, tenant: str, carried: bytes, hashes: Hashes) -> str:
        told = f"{len(tenant)}:{tenant}".encode(errors="surrogatepass") + carried + hashes.tobytes()
        return hashlib.blake2b(told, digest_size=16, key=self._scope).hexdigest()

    def _remembered(self, entry: _Entry) -> Remembered:
        return Remembered(
            stream=self._name,
            kind="near",
            digest=entry.digest,
            tenant=entry.tenant,
            ids=entry.ids,
            event_ms=entry.event_ms,
            policy_version=self._version,
            model=self._model,
            verdict=entry.verdict,
            counts=dict(entry.counts.by_label),
            run=entry.counts.run,
            features=base64.b64encode(entry.carried + entry.minhash.tobytes() + entry.hashes.tobytes()).decode(),
            at_ms=entry.at_ms,
        )


def _unpacked(told: str) -> tuple[bytes, NDArray[np.uint32], Hashes] | None:
    """What was told, and None where it is something else: 16 bytes, 32-bit hashes, sorted 64-bit hashes."""
    try:
        data = base64.b64decode(told, validate=True)
    except ValueError:
        return None
    middle = 16 + _PERMUTATIONS * 4
    if len(data) <= middle or (len(data) - middle) % 8:
        return None
    hashes = np.frombuffer(data[middle:], dtype=np.uint64)
    if len(hashes) > limits.NEAR_WORDS_MAX or np.any(hashes[1:] <= hashes[:-1]):
        return None
    return data[:16], np.frombuffer(data[16:middle], dtype=np.uint32), hashes
