"""What the agents' worker has seen lately: a small store in memory, searched by words or by a log line's template.

Nothing here is a source of truth: it is fed as far as a worker can afford, forgets the oldest, and says so.
"""

import re
import sqlite3
import weakref
from collections.abc import Iterable
from dataclasses import dataclass

from processors.items import Item
from topics import limits
from topics.messages import Kind

_WORD = re.compile(r"[^\W_]+")  # as FTS5's tokenizer splits


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A message that was seen lately."""

    id: str
    stream: str
    at_ms: int
    text: str  # at most RECENT_TEXT_CHARS_MAX characters
    label: str | None  # None where its Decision was not seen
    severity: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Like:
    """Which messages of a tenant count as alike: all that is set must hold."""

    tenant: str
    stream: str | None = None
    template: str | None = None  # log lines with this very template
    words: str = ""  # messages that contain each of these words


@dataclass(frozen=True, slots=True)
class Counted:
    """How often something was seen."""

    buckets: tuple[int, ...]  # messages a bucket, oldest first
    labels: dict[str, int]  # messages a label, where the Decision was seen


class Recent:
    """The last messages of every stream. One event loop's own: no method waits, none is safe to call from threads.

    No query crosses tenants: each takes the tenant and sees nothing else.
    """

    def __init__(self, messages_max: int = limits.RECENT_MESSAGES_MAX, *, full_text_search: bool = True) -> None:
        """`full_text_search=False`: as where Python's SQLite lacks FTS5. Finds by substring then, newest first."""
        self.complete_since_ms = 0
        """Messages before this time were not all kept."""
        self._messages_max = messages_max
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        self._close = weakref.finalize(self, self._db.close)
        self._db.executescript(
            """
            CREATE TABLE messages (
                n INTEGER PRIMARY KEY, id TEXT UNIQUE, tenant TEXT, stream TEXT, template TEXT, at_ms INTEGER
            );
            CREATE INDEX by_template ON messages (tenant, template, at_ms) WHERE template IS NOT NULL;
            CREATE INDEX by_stream ON messages (tenant, stream, at_ms);
            CREATE TABLE labels (n INTEGER PRIMARY KEY, id TEXT UNIQUE, label TEXT, severity TEXT);
            """
        )
        self._ranked = full_text_search and self._has_fts5()
        if not self._ranked:
            self._db.execute("CREATE TABLE texts (text TEXT)")

    def _has_fts5(self) -> bool:
        try:
            self._db.execute("CREATE VIRTUAL TABLE texts USING fts5(text)")
        except sqlite3.OperationalError:
            return False
        return True

    def close(self) -> None:
        """Frees the memory; a store that nobody closes does so when it is let go."""
        self._close()

    @property
    def size(self) -> int:
        """Messages kept."""
        (count,) = self._db.execute("SELECT count(*) FROM messages").fetchone()
        return int(count)

    def add(self, items: Iterable[Item]) -> None:
        """Keeps messages; one that is there already is left as it is. Beyond the limit the oldest are forgotten."""
        with self._db:
            self._db.execute("BEGIN")
            last = 0
            for item in items:
                inserted = self._db.execute(
                    "INSERT OR IGNORE INTO messages (id, tenant, stream, template, at_ms) VALUES (?, ?, ?, ?, ?)",
                    (item.id, item.tenant, item.stream, item.template, item.source.timestamp_ms),
                )
                if inserted.rowcount == 1:
                    last = inserted.lastrowid or 0
                    text = _telling_part(item.text, item.kind)
                    self._db.execute("INSERT INTO texts (rowid, text) VALUES (?, ?)", (last, text))
            self._forget(last - self._messages_max)

    def _forget(self, last: int) -> None:
        """Messages up to this number."""
        (at_ms,) = self._db.execute("SELECT max(at_ms) FROM messages WHERE n <= ?", (last,)).fetchone()
        if at_ms is not None:
            self.incomplete_until(at_ms + 1)
            self._db.execute("DELETE FROM texts WHERE rowid <= ?", (last,))
            self._db.execute("DELETE FROM messages WHERE n <= ?", (last,))

    def incomplete_until(self, at_ms: int) -> None:
        """Says that messages before this time were passed over."""
        self.complete_since_ms = max(self.complete_since_ms, at_ms)

    def label(self, decided: Iterable[tuple[str, str, str | None]]) -> None:
        """What triage decided: (message id, label, severity). May come before the message itself."""
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR REPLACE INTO labels (id, label, severity) VALUES (?, ?, ?)", decided)
            self._db.execute("DELETE FROM labels WHERE n <= (SELECT max(n) FROM labels) - ?", (self._messages_max,))

    def related(self, tenant: str, text: str, limit: int, *, but: str) -> list[Seen]:
        """Messages of the tenant, of any stream, that share words with `text`; those with many and rare ones first.

        `but`: the id of the message that is asked about.
        """
        words = _words(text)
        if not words:
            return []
        match, arguments = self._match(words, "OR")
        rows = self._db.execute(
            "SELECT m.id, m.stream, m.at_ms, text, l.label, l.severity FROM texts "
            "JOIN messages m ON m.n = texts.rowid LEFT JOIN labels l ON l.id = m.id "
            f"WHERE {match} AND m.tenant = ? AND m.id <> ? "
            f"ORDER BY {'bm25(texts), ' if self._ranked else ''}m.n DESC LIMIT ?",
            (*arguments, tenant, but, limit),
        )
        return [
            Seen(id=id_, stream=stream, at_ms=at_ms, text=text, label=label, severity=severity)
            for id_, stream, at_ms, text, label, severity in rows
        ]

    def counts(self, like: Like, from_ms: int, bucket_ms: int, buckets: int) -> Counted:
        """How many messages came in each of `buckets` spans of `bucket_ms` from `from_ms` on."""
        source, conditions = "messages m", ["m.tenant = ?", "m.at_ms >= ?", "m.at_ms < ?"]
        arguments: list[str | int] = [like.tenant, from_ms, from_ms + buckets * bucket_ms]
        if like.stream is not None:
            conditions.append("m.stream = ?")
            arguments.append(like.stream)
        if like.template is not None:
            conditions.append("m.template = ?")
            arguments.append(like.template)
        if words := _words(like.words):
            source += " JOIN texts ON texts.rowid = m.n"
            match, matched = self._match(words, "AND")
            conditions.append(match)
            arguments += matched
        rows = self._db.execute(
            f"SELECT (m.at_ms - ?) / ?, l.label, count(*) FROM {source} LEFT JOIN labels l ON l.id = m.id "
            f"WHERE {' AND '.join(conditions)} GROUP BY 1, 2",
            (from_ms, bucket_ms, *arguments),
        )
        numbers = [0] * buckets
        labels: dict[str, int] = {}
        for bucket, label, count in rows:
            numbers[bucket] += count
            if label is not None:
                labels[label] = labels.get(label, 0) + count
        return Counted(tuple(numbers), labels)

    def _match(self, words: list[str], operator: str) -> tuple[str, list[str]]:
        """A condition on `texts`, and its arguments. Words are letters and digits only: nothing to escape in LIKE."""
        if self._ranked:
            return "texts MATCH ?", [f" {operator} ".join(f'"{word}"' for word in words)]
        return f"({f' {operator} '.join(['text LIKE ?'] * len(words))})", [f"%{word}%" for word in words]


def _words(text: str) -> list[str]:
    """The distinct words of a text, the longest first: ids and names tell more than "the". At most RECENT_WORDS_MAX."""
    distinct = dict.fromkeys(word.lower() for word in _WORD.findall(text))
    return sorted(distinct, key=len, reverse=True)[: limits.RECENT_WORDS_MAX]


def _telling_part(text: str, kind: Kind) -> str:
    """What is kept of a message: its beginning, or of a dialogue its last turns."""
    length = limits.RECENT_TEXT_CHARS_MAX
    return text[-length:] if kind == "dialogue" else text[:length]
