"""A filled stencil is, byte for byte, the Decision that it stands for."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.normalise.origin import source_of
from tests.unit.normalise.records import FakeRecord
from tests.unit.topics.values import ANY, MAYBE_TEXT, WHOLE
from topics import codec
from topics.messages import Decision
from topics.records import message_id
from topics.stencils import Filling, Stencil

KEYS = st.none() | st.binary(max_size=40) | st.text(max_size=20).map(str.encode) | st.just(b'\xff"\\' * 1_000)
RECORDS = st.builds(FakeRecord, st.none(), KEYS, WHOLE, WHOLE, topic=st.text(max_size=20), partition=WHOLE)


@settings(max_examples=150)
@given(ANY[Decision], RECORDS, MAYBE_TEXT, st.floats(0, 1e6))
def test_filled_it_is_the_decision(like: Decision, record: FakeRecord, session: str | None, latency_ms: float) -> None:
    decision = replace(like, id=message_id(record), source=source_of(record), session=session, latency_ms=latency_ms)
    filled = Filling(record.topic, record.partition, latency_ms).decision(Stencil(like), record, session)
    assert filled == (decision.id, codec.encode(decision))
