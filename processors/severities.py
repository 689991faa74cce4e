"""Syslog severities as numbers that grow with how bad it is, whatever a log calls them."""

# RFC 5424, section 6.2.1, least severe first; then the words of common logging libraries.
_RANKS = {
    name: rank
    for rank, names in enumerate(
        (
            ("debug", "trace", "verbose"),
            ("info", "information", "informational"),
            ("notice",),
            ("warning", "warn"),
            ("err", "error", "severe"),
            ("crit", "critical", "fatal"),
            ("alert",),
            ("emerg", "emergency", "panic"),
        )
    )
    for name in names
}
_WORST = 7


def rank(value: object) -> int | None:
    """0 (debug) to 7 (emerg); None where `value` is no severity.

    A name in any case, or syslog's own number as a number or digits, which counts the other way: 0 is emerg.
    """
    if isinstance(value, str):
        if (found := _RANKS.get(value.strip().lower())) is not None:
            return found
        value = int(value) if value.isdecimal() and len(value) == 1 else None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _WORST:
        return _WORST - value
    return None
