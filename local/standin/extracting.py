"""Values that a text states: by a pattern that the instructions give, or by what a field's name usually means."""

import re

_KNOWN = (
    (("email", "mail"), re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    (("url", "link"), re.compile(r"https?://[^\s<>\"')]+")),
    (("ip", "rhost"), re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")),
    (("iban",), re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}\b")),
    (("block",), re.compile(r"\bblk_-?\d+\b")),
    (("phone", "tel"), re.compile(r"\+?\d[\d ()/-]{6,}\d")),
    (("date", "day"), re.compile(r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b")),
    (("time",), re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?\b")),
    (("amount", "price", "total", "sum"), re.compile(r"(?:[$€£]\s?\d[\d,.]*\d|\d[\d,.]*\s?(?:EUR|USD|GBP|€|\$|£))")),
    (("user", "username", "account"), re.compile(r"\b(?:user|account)[ =:]+'?([\w.@-]+)", re.I)),
    (("device", "disk"), re.compile(r"\b(?:sd[a-z]\d?|nvme\d\w*|md\d+)\b")),
    (
        ("service", "component", "process", "program"),
        re.compile(
            r"\b(?:service|component|app)[=:] ?\"?([\w.-]+)|\b([\w.-]+)\[\d+\]:"
            r"|\b(?:DEBUG|INFO|WARN\w*|ERROR|FATAL)\s+\[?([a-z][\w.-]+)\]?:?|^([a-z][\w.-]+):"
        ),
    ),
    (("host", "hostname", "server", "node", "machine"), re.compile(r"\b([a-z][a-z0-9]*-?\d{1,4})\b")),
    (
        ("id", "number", "no", "order", "ticket", "case", "invoice", "reference", "ref"),
        re.compile(r"\b[A-Z]{1,5}-?\d{3,}\b|#\d{3,}\b"),
    ),
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NAME_PART = re.compile(r"[a-z]+")


def find_text(name: str, text: str, pattern: str | None) -> str | None:
    """The first value of a field in a text; None where the text does not say. A pattern that is none finds nothing."""
    if pattern is not None:
        try:
            match = re.search(pattern.rstrip(".,;"), text)
        except re.error:
            return None
        return match[0] if match else None
    parts = _NAME_PART.findall(name.lower())
    for names, known in _KNOWN:
        if any(part in names for part in parts) and (match := known.search(text)) is not None:
            return match[match.lastindex or 0]
    return None


def find_number(name: str, text: str) -> float | None:
    """The number that stands near the field's name in the text, within 30 characters."""
    for part in _NAME_PART.findall(name.lower()):
        for match in re.finditer(re.escape(part[:6]), text.lower()):
            around = text[match.end() : match.end() + 30]
            if (number := _NUMBER.search(around)) is not None:
                return float(number[0])
    return None
