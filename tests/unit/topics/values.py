"""Any value of each message type, for properties."""

from typing import Any, get_args

from hypothesis import strategies as st

from topics import messages as m

TEXT = st.text(max_size=12)
MAYBE_TEXT = st.none() | TEXT
WHOLE = st.integers(0, 2**53)
AMOUNT = st.floats(0, 1e9)
FIELDS = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | TEXT)
LIMITED = {"confidence": st.none() | st.floats(0, 1), "priority": st.integers(0, 100), "fields": FIELDS}

SOURCES = st.builds(m.Source, TEXT, WHOLE, WHOLE, MAYBE_TEXT, WHOLE)
TOKENS = st.builds(m.Tokens, AMOUNT, AMOUNT, AMOUNT)
SEVERITIES = st.none() | st.sampled_from(get_args(m.Severity))


def of(cls: type, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values of a type: bounded fields within their bounds, optional ones present or not."""
    known = LIMITED | {
        "source": SOURCES,
        "severity": SEVERITIES,
        "tokens": TOKENS,
        "cost_usd_micros": WHOLE,
        "latency_ms": AMOUNT,
        "batch_size": WHOLE,
    }
    known |= dict.fromkeys(("at_ms", "escalated_at_ms", "usd_micros", "messages", "turns", "tool_calls"), WHOLE)
    known["deadline_ms"] = st.none() | WHOLE
    names = cls.__dataclass_fields__  # type: ignore[attr-defined]
    return st.builds(cls, **{name: known[name] for name in names if name in known} | more)


VERDICTS = st.lists(of(m.Verdict), max_size=3).map(tuple)
ANY = {
    m.Decision: of(m.Decision),
    m.Escalation: of(m.Escalation, verdicts=VERDICTS.filter(bool)),
    m.Resolution: of(m.Resolution, verdicts=VERDICTS),
    m.Spend: of(m.Spend, status=WHOLE),
    m.Replay: of(m.Replay, letter_at_ms=WHOLE, replays=st.integers(1, 9)),
}
