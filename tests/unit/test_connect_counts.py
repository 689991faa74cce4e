"""What the demonstration of Kafka Connect calls equal."""

from dataclasses import replace

import pytest

from local.connect.counts import Counts, Flow

FLOW = Flow(
    given=3,
    read=frozenset({"logs/0/0", "logs/0/1", "logs/0/2"}),
    decided=frozenset({"logs/0/0", "logs/0/1"}),
    dead=frozenset({"logs/0/2"}),
    rows=frozenset({"logs/0/0", "logs/0/1"}),
)
COUNTS = Counts({"logs": FLOW}, doubled=0, alerts={"a-1": 2}, alert_rows={"a-1": 2})


def test_equal_is_equal() -> None:
    assert COUNTS.equal


@pytest.mark.parametrize(
    "flow",
    [
        pytest.param(replace(FLOW, given=4), id="a line that was lost on the way in"),
        pytest.param(replace(FLOW, given=2), id="a line that came twice"),
        pytest.param(replace(FLOW, decided=FLOW.read - {"logs/0/1", "logs/0/2"}), id="a message that was not decided"),
        pytest.param(replace(FLOW, dead=frozenset()), id="a dead letter that is missing"),
        pytest.param(replace(FLOW, rows=frozenset({"logs/0/0"})), id="a row that is missing"),
        pytest.param(replace(FLOW, rows=FLOW.rows | {"logs/0/7"}), id="a row of nothing"),
    ],
)
def test_what_differs_in_one_id_differs(flow: Flow) -> None:
    assert not replace(COUNTS, flows={"logs": flow}).equal


def test_a_second_decision_or_an_old_revision_of_an_alert_differs() -> None:
    assert not replace(COUNTS, doubled=1).equal
    assert not replace(COUNTS, alert_rows={"a-1": 1}).equal
    assert not replace(COUNTS, alert_rows={}).equal
