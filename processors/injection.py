"""Texts that try to give the model orders. They are judged like any other, but alone in their prompt.

A short list that seldom hits honest mail: it saves companions from the plain attempts. The sentinel in every batch,
random ids and strict enums stand behind it for the rest.
"""

import re

_ORDERS = re.compile(
    r"""
      \b(?:ignore|disregard|forget|override)\s+(?:all\s+|any\s+|the\s+|your\s+|of\s+|these\s+|my\s+){0,3}
        (?:previous|prior|above|earlier|preceding|other|system)\s+(?:instruction|prompt|rule|message|direction|order)
    | \b(?:label|classify|mark|categori[sz]e|tag)\s+(?:all|every|each|any|both|the\s+other|the\s+rest)\b
    | \bthe\s+(?:other|next|previous|following|neighbou?ring)\s+messages?\s+(?:is|are|as|must|should)\b
    | \b(?:answer|respond|reply)\s+with\s+(?:the\s+)?label\b
    | \bsluice\s+check\b
    | \bsystem\s+prompt\b
    | \byou\s+are\s+(?:now\s+)?(?:an?\s+)?(?:ai|assistant|chatbot|language\s+model|llm|classifier)\b
    | \bnew\s+instructions?\s*:
    | "(?:items|messages|answers)"\s*:\s*\[
    | <\|?(?:im_start|im_end|system|endoftext)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)


# One of these is in each text that it finds; to look for them costs a fraction, and most log lines have none
_WORDS = (
    *("ignore", "disregard", "forget", "override", "label", "classify", "mark", "categori", "tag", "message", "sluice"),
    *("system", "you", "instruction", '"items"', '"answers"', "im_start", "im_end", "endoftext"),
)


def gives_orders(text: str) -> bool:
    """Whether `text` speaks to the model rather than to its reader."""
    if text.isascii():  # elsewhere letters have capitals that `lower` does not know
        small = text.lower()
        if not any(word in small for word in _WORDS):
            return False
    return _ORDERS.search(text) is not None
