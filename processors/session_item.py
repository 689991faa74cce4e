"""A session that has ended, as one message: what a model is shown of it, and what exact memory knows it by.

Shown is how often each form of line came, with the first line of that form as it stands, and the last line:

    7 lines in 12 s
    3 × 081109 203530 147 INFO dfs.DataNode$DataXceiver: Receiving block blk_43 src: /10.250.18.114:43996 dest: …
    …
    last: 081109 203542 …

Where not all of it fits, the odd forms stay: those with a word that tells an outcome, then the rare ones. Memory knows
a session by its forms and their counts, so that sessions in which the same happened are asked about once. Counts above
COUNT_EXACT are rounded down to a power of two: nine or ten times is the same.
"""

import hashlib
import re
from collections.abc import Sequence

from processors.items import Item
from processors.normalise.origin import source_of
from processors.sessions import Form, Session, Tally
from topics import limits
from topics.records import message_id

COUNT_EXACT = 8

_OUTCOME = re.compile(
    r"(?i)fail|error|exception|fatal|denied|refused|reject|timeout|timed out|abort|panic|corrupt|unable|cannot"
    r"|could not|invalid|unexpected|illegal|lost|missing|redundant|not found|not belong|empty|kill|overflow"
)
_LEFT_OUT_CHARS = 80  # of the line that says what is left out
_DIGEST_BYTES = 32
KIND_CHARS = limits.MEMORY_TEXT_CHARS_MAX + 2 * _DIGEST_BYTES  # of `memory_text`: more than that of any line has


def session_item(session: Session) -> Item:
    """The message that is judged. Its id and source are those of the session's last line, which everything that is
    said about the session as a whole is of: an escalation, what counts toward an alert."""
    tally, last = session.tally, session.lines[-1]
    odd_first = sorted(tally.forms, key=lambda template: _oddness(template, tally.forms[template]))
    text, whole = _text(tally, odd_first, limits.MESSAGE_TEXT_CHARS_MAX)
    full_text, full = _text(tally, odd_first, limits.ESCALATION_TEXT_CHARS_MAX)
    return Item(
        id=message_id(last.record),
        source=source_of(last.record),
        stream=session.opened.stream,
        tenant=session.opened.tenant,
        kind="log",
        text=text,
        full_text=full_text,
        memory_text=_memory_text(tally),
        truncated=not whole,
        full_truncated=not full,
        template=odd_first[0] or None,
        session=session.opened.session,
        fields=tally.fields,
        asked_tier=tally.asked_tier,
        traceparent=last.traceparent,
    )


def _oddness(template: str, form: Form) -> tuple[bool, int]:
    """Sorts what must not be left out to the front."""
    return _OUTCOME.search(template) is None, form.count


def _text(tally: Tally, odd_first: Sequence[str], chars_max: int) -> tuple[str, bool]:
    """At most so many characters, and whether every line is in it."""
    seconds = (tally.last_ms - tally.first_ms) / 1000
    head = f"{tally.lines} lines in {seconds:.0f} s"
    tail = f"last: {tally.last}"  # what it ended with; first lines stand in their order
    room = chars_max - len(head) - len(tail) - _LEFT_OUT_CHARS
    shown: set[str] = set()
    for template in odd_first:
        room -= len(_line(tally.forms[template])) + 1
        if room < 0:
            break
        shown.add(template)
    lines = [_line(form) for template, form in tally.forms.items() if template in shown]
    left_out = tally.lines - sum(tally.forms[template].count for template in shown)
    if left_out:
        lines.append(f"[… {left_out:,} lines of other forms left out …]")
    return "\n".join((head, *lines, tail)), tally.lines == len(shown) and not left_out


def _line(form: Form) -> str:
    return f"{form.count} × {form.first}"


def _memory_text(tally: Tally) -> str:
    """KIND_CHARS, hence longer than that of any line (texts.memory_text): no line can pass for a session."""
    counted = sorted((template, _rounded(form.count)) for template, form in tally.forms.items())
    told = "\n".join(f"{count} × {template}" for template, count in counted) + f"\n{_rounded(tally.others)}"
    digest = hashlib.blake2b(told.encode(errors="replace"), digest_size=_DIGEST_BYTES, person=b"session").hexdigest()
    return told[: limits.MEMORY_TEXT_CHARS_MAX].ljust(limits.MEMORY_TEXT_CHARS_MAX) + digest


def _rounded(count: int) -> int:
    return count if count <= COUNT_EXACT else 1 << (count.bit_length() - 1)
