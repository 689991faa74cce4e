"""Gold labels, found by the text in the prompt: exactly, or by word shingles where it was cut, cleaned or quoted.

A record of several parts (the turns of a conversation, the log lines of a session) is judged from what the prompt
shows of it: its gold label counts once its last part is shown, and half of the whole. Before that the label would
come from the future. A text that begins with `7 lines in 12 s` counts log lines, as `3 × LINE`: then as many lines of
that form are shown, and the last one only where all of its form are.
"""

import gzip
import re
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import numpy as np
import orjson
from numpy.typing import NDArray

from local.standin.lexicon import WORD, fold, squash

SHINGLE_WORDS = 3
WORDS_MAX = 4_000  # of one text: more tells nothing new
POSTINGS_MAX = 64  # a shingle of more records than this tells nothing about which one it is
CONTAINED_MIN = 0.5  # share of the text's telling shingles that a record must have, or the other way round
SHINGLES_MIN = 3
TALK_TURNS_MAX = 60  # of a conversation that comes turn by turn
_SPEAKER = re.compile(
    r"^\W{0,2}(?:customer|agent|user|assistant|system|bot|caller|operator|client)\W{0,3}:\s*", re.I | re.M
)
_TAG = re.compile(r"<[^>]{0,2000}>")
_SESSION = re.compile(r"\d+ lines in \d+ s\n")
_COUNTED = re.compile(r"^(\d{1,6}) × (.+)$", re.M)  # lines that differ from this one in words with digits only
_SUBJECT = re.compile(r"^subject:(.*)$", re.I | re.M)
_DIGIT_WORD = re.compile(r"\S*\d\S*")
_MIX = tuple(np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))

_NEEDED = "needed is a JSON object with `payload` and `label`"

Found = Literal["exact", "similar", "part"]


@dataclass(slots=True)
class GoldRecord:
    """A text with its gold. `parts` are folded; a plain text has one. `source` is the file that it is from."""

    source: str
    label: str
    labels: Mapping[str, Any]
    parts: list[str]
    lines: bool  # the parts are log lines, each of which is judged alone as well

    @property
    def text(self) -> str:
        return " ".join(self.parts)

    def label_among(self, labels: tuple[str, ...]) -> str | None:
        """The gold in a policy's own labels, or None where it says nothing about them.

        By name (`HR Support` is `hr-support`), by another gold entry of that name, or by a yes-or-no entry: with
        `escalate: true` the label `escalate`, with false the other one of two.
        """
        named = _by_squashed_name(labels)
        if (found := named.get(squash(self.label))) is not None:
            return found
        denied: str | None = None
        for key, value in self.labels.items():
            if isinstance(value, str) and (found := named.get(squash(value))) is not None:
                return found
            if isinstance(value, bool):
                meant = next((label for label in labels if _stands_for(label, key)), None)
                if meant is not None and value:
                    return meant
                denied = denied or meant
        if denied is not None and len(labels) == 2:
            return labels[1] if labels[0] == denied else labels[0]
        return None


@dataclass(frozen=True, slots=True)
class Match:
    """A record that the text is, resembles, or is only a part of so far."""

    record: GoldRecord
    how: Found


def read_gold(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Records of JSONL files, plain or gzip. Raises ValueError that names file and line."""
    for path in paths:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    record = orjson.loads(line)
                    usable = isinstance(record["payload"], dict | str) and "label" in record
                except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                    raise ValueError(f"{path}, line {number}: no gold record ({error!r}); {_NEEDED}") from None
                if not usable:
                    raise ValueError(f"{path}, line {number}: no gold record; {_NEEDED}")
                yield record | {"file": path.name}


def strip_speakers(text: str) -> str:
    """Without `customer:` and the like before turns."""
    return _SPEAKER.sub("", text)


def payload_parts(payload: dict[str, Any] | str) -> list[str]:
    """The texts of a payload: one, or one for every turn."""
    if isinstance(payload, str):
        return [payload]
    if "line" in payload:
        return [str(payload["line"])]
    if "turns" in payload:
        turns = [turn for turn in payload["turns"] if turn.get("text")]
        while len(turns) > 1 and turns[-1].get("speaker", "customer") not in ("customer", "user"):
            turns.pop()  # what the agent says last decides nothing any more
        return [str(turn["text"]) for turn in turns]
    if "raw" in payload:
        return [_mail_text(str(payload["raw"]))]
    return [" ".join(str(payload[name]) for name in ("subject", "body", "text") if payload.get(name))]


def _talk(payload: dict[str, Any] | str) -> str | None:
    """The conversation that a payload is one turn of: its gold is about all turns so far."""
    return payload.get("conversation_id") if isinstance(payload, dict) and "text" in payload else None


def _mail_text(raw: str) -> str:
    """Subject and body words of a raw mail, roughly: shingles forgive what a parser would do better."""
    head, _, body = raw.partition("\n\n")
    subject = _SUBJECT.search(head)
    return (subject[1] if subject else "") + "\n" + _TAG.sub(" ", body.replace("=\n", "")[:60_000])


class Gold:
    """All gold records, indexed once."""

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self.records: list[GoldRecord] = []
        self._exact: dict[str, int] = {}
        self._gather(records)
        self._index()

    def _gather(self, records: Iterable[Mapping[str, Any]]) -> None:
        sessions: dict[tuple[str, str], int] = {}
        talks: dict[tuple[str, str], deque[str]] = {}
        for raw in records:
            parts = [folded for part in payload_parts(raw["payload"]) if (folded := fold(part))]
            labels, source = raw.get("labels") or {}, str(raw.get("file", ""))
            if (talk := _talk(raw["payload"])) is not None:
                so_far = talks.setdefault((source, talk), deque(maxlen=TALK_TURNS_MAX))
                so_far.extend(parts)
                parts = [" ".join(so_far)] if parts else []
            if not parts or raw["label"] is None:
                continue
            session = labels.get("block") or labels.get("session")
            if session is None:
                self._exact.setdefault(" ".join(parts), len(self.records))
                self.records.append(GoldRecord(source, str(raw["label"]), labels, parts, lines=False))
                continue
            index = sessions.setdefault((source, str(session)), len(self.records))
            if index == len(self.records):
                self.records.append(GoldRecord(source, str(raw["label"]), labels, [], lines=True))
            self.records[index].parts.extend(parts)
            for part in parts:
                self._exact.setdefault(part, index)

    def _index(self) -> None:
        """Every shingle of every record, sorted, with the record it is from."""
        hashes = array("Q")
        owners = array("q")
        for index, record in enumerate(self.records):
            found = _word_hashes(record.text)
            hashes.extend(found)
            owners.extend([index] * len(found))
        owner = np.frombuffer(owners, dtype=np.int64) if owners else np.zeros(0, np.int64)
        shingles = _shingles(np.frombuffer(hashes, dtype=np.uint64) if hashes else np.zeros(0, np.uint64))
        inside = owner[: len(shingles)] == owner[SHINGLE_WORDS - 1 :]
        shingles, owner = shingles[inside], owner[: len(shingles)][inside]
        order = np.argsort(shingles, kind="stable")  # records ascend, so a shingle's repeats in a record are neighbours
        shingles, owner = shingles[order], owner[order]
        first = np.ones(len(shingles), bool)
        first[1:] = (shingles[1:] != shingles[:-1]) | (owner[1:] != owner[:-1])
        self._shingles = shingles[first]
        self._owners = owner[first].astype(np.int32)
        self._sizes = np.bincount(self._owners, minlength=len(self.records))

    def find(self, text: str) -> Match | None:
        """The record that a prompt's text comes from."""
        folded = fold(text)
        counted = _COUNTED.findall(text) if _SESSION.match(text) else []
        spoken = fold("\n".join(line for _, line in counted) if counted else strip_speakers(text))
        how: Found = "exact"
        index = self._exact.get(folded, self._exact.get(spoken))
        if index is None:
            how, index = "similar", self._similar(spoken)
        if index is None:
            return None
        record = self.records[index]
        whole = len(record.parts) == 1 or _shown(record, spoken) or (record.lines and _counted(record, counted))
        return Match(record, how if whole else "part")

    def _similar(self, folded: str) -> int | None:
        """The record that shares most telling shingles with the text, if it shares enough of them."""
        if not self.records:
            return None
        asked = np.unique(_shingles(np.array(_word_hashes(folded), dtype=np.uint64)))
        start = np.searchsorted(self._shingles, asked, side="left")
        stop = np.searchsorted(self._shingles, asked, side="right")
        telling = stop - start <= POSTINGS_MAX
        start, counts = start[telling], (stop - start)[telling]
        if counts.sum() < SHINGLES_MIN:
            return None
        rows = np.repeat(start - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        candidates, shared = np.unique(self._owners[rows], return_counts=True)
        best = int(np.argmax(shared))
        index, share = int(candidates[best]), int(shared[best])
        whole = min(len(counts), int(self._sizes[index]))  # the text is in the record, or the record in the text
        return index if share >= max(SHINGLES_MIN, CONTAINED_MIN * whole) else None


def _shown(record: GoldRecord, folded: str) -> bool:
    """Whether the text shows the record's last part and at least half of the whole."""
    if record.parts[-1] not in folded:
        return False
    seen = sum(len(part) for part in record.parts if part in folded)
    return 2 * seen >= sum(map(len, record.parts))


def _counted(record: GoldRecord, counted: Sequence[tuple[str, str]]) -> bool:
    """The same of a text that counts lines by their form."""
    shown: Counter[str] = Counter()
    for count, line in counted:
        shown[_form(fold(line))] += int(count)
    forms = [_form(part) for part in record.parts]
    there = Counter(forms)
    if shown[forms[-1]] < there[forms[-1]]:
        return False
    seen = sum(min(count, shown[form]) for form, count in there.items())
    return 2 * seen >= len(forms)


def _form(line: str) -> str:
    return _DIGIT_WORD.sub("", line)


def _word_hashes(text: str) -> list[int]:
    return [crc32(word.encode()) for word in WORD.findall(text)[:WORDS_MAX]]


def _shingles(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One 64-bit number for every three words in a row."""
    count = len(hashes) - SHINGLE_WORDS + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    mixed = np.zeros(count, np.uint64)
    for offset, factor in enumerate(_MIX):
        mixed ^= hashes[offset : offset + count] * factor
        mixed ^= mixed >> np.uint64(29)
    return mixed


@lru_cache(maxsize=1_024)
def _by_squashed_name(labels: tuple[str, ...]) -> Mapping[str, str]:
    return {squash(label): label for label in labels}


@lru_cache(maxsize=4_096)
def _stands_for(label: str, key: str) -> bool:
    """Whether all words of the label are in the key, or their first letters: `fraud`, `fol` in `fraud_or_loss`."""
    words = WORD.findall(key.lower())
    return set(WORD.findall(label.lower())) <= set(words) or label.lower() == "".join(word[0] for word in words)
