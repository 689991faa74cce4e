"""What a student learns from, and what it sees of a message."""

from dataclasses import dataclass

from processors.items import Item
from topics.limits import LESSON_CHARS_MAX, LESSON_MAIL_CHARS_MAX, MEMORY_TEXT_CHARS_MAX


@dataclass(frozen=True, slots=True)
class Example:
    """A text as `student_text` has it, and the label that it was given."""

    text: str
    label: str
    weight: float = 1.0  # beside the others': the reference's and people's labels tell more than nano's


def student_text(item: Item) -> str:
    """At most LESSON_CHARS_MAX characters: of a mail the beginning; of a dialogue its newest turns; of a log line what
    stays the same when it is logged again, and where that is long, its template."""
    match item.kind:
        case "email":
            return item.text[:LESSON_MAIL_CHARS_MAX]
        case "dialogue":
            return item.text[-LESSON_CHARS_MAX:]
        case "log":
            if len(item.memory_text) <= MEMORY_TEXT_CHARS_MAX:
                return item.memory_text
            return (item.template or item.text)[:LESSON_CHARS_MAX]
