"""What counts as an answer."""

import orjson
import pytest

from processors.answers import Answers, NoVerdict
from processors.controls import Control
from tests.unit.triage.build import stream
from topics.limits import FIELD_CHARS_MAX
from topics.messages import Verdict

FIELDS = {
    "service": {},
    "cause": {"type": "enum", "values": ["disk", "network"]},
    "order": {"pattern": r"[A-Z]{2}\d{6}"},
    "count": {"type": "integer"},
    "share": {"type": "number"},
    "paid": {"type": "boolean"},
}
VALUES = {"service": "db", "cause": "disk", "order": "AB123456", "count": 3, "share": 0.5, "paid": True}
ITEM = {"id": "k1", "label": "alert", "confidence": 0.9, "priority": 80, "summary": "Short.", "fields": VALUES}


def read(items, ids=("k1",), control=None):
    text = items if isinstance(items, str) else orjson.dumps({"items": items}).decode()
    return Answers(stream(summary="one sentence", fields=FIELDS)).read(text, ids, control, "nano")


def test_a_valid_item_is_a_verdict():
    assert read([ITEM]) == [
        Verdict(
            tier="nano",
            label="alert",
            severity="critical",
            confidence=0.9,
            priority=80,
            fields=VALUES,
            summary="Short.",
            model="nano",
        )
    ]


@pytest.mark.parametrize(
    ("wrong", "detail"),
    [
        ({"label": "fire"}, "label is 'fire', not one of routine, alert, noise"),
        ({"label": ["alert"]}, "label is"),
        ({"confidence": 1.5}, "confidence is 1.5, not a number from 0 to 1"),
        ({"confidence": True}, "confidence"),
        ({"confidence": None}, "confidence"),
        ({"priority": 101}, "priority is 101, not a whole number from 0 to 100"),
        ({"priority": 1.5}, "priority"),
        ({"priority": 1e300}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"summary": None}, "summary"),
        ({"fields": None}, "fields"),
        ({"fields": VALUES | {"count": "three"}}, "field count is 'three', not of type integer or null"),
        ({"fields": VALUES | {"count": True}}, "field count"),
        ({"fields": VALUES | {"count": 1.5}}, "field count"),
        ({"fields": VALUES | {"paid": 1}}, "field paid"),
        ({"fields": VALUES | {"service": {}}}, "field service"),
        ({"fields": {}}, "no `service`"),
    ],
)
def test_an_invalid_item_says_which_value_breaks_which_rule(wrong, detail):
    (result,) = read([ITEM | wrong])
    assert isinstance(result, NoVerdict)
    assert result.why == "invalid"
    assert detail in result.detail


@pytest.mark.parametrize("name", ["label", "confidence", "priority", "summary", "fields"])
def test_a_property_that_is_missing(name):
    (result,) = read([{key: value for key, value in ITEM.items() if key != name}])
    assert result == NoVerdict("invalid", f"the item has no `{name}`")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("order", "12", None),  # does not match the pattern
        ("order", "AB123456 and more", None),  # nor does more than it
        ("order", "A" * (FIELD_CHARS_MAX + 1), None),
        ("cause", "fire", None),  # none of the values
        ("service", "d" * (FIELD_CHARS_MAX + 1), "d" * FIELD_CHARS_MAX),
        ("count", 5.0, 5),
        ("count", 1e300, None),  # no Decision can hold it
        ("share", 2, 2),
        ("paid", None, None),
    ],
)
def test_fields(name, value, expected):
    (result,) = read([ITEM | {"fields": VALUES | {name: value}}])
    assert isinstance(result, Verdict)
    assert result.fields[name] == expected


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "null", "{}", '{"items": 3}', '{"items": [{"id": "k1", "la'])
def test_garbage_answers_nobody(text):
    assert [result.why for result in read(text, ["k1", "k2"])] == ["garbage", "garbage"]


def test_items_are_found_by_id_and_strangers_dropped():
    items = [ITEM | {"id": "zz"}, ITEM, 5, {"id": ["k1"]}, ITEM | {"id": "k2", "label": "noise"}]
    assert [verdict.label for verdict in read(items, ["k1", "k2"])] == ["alert", "noise"]


def test_items_that_changed_places_do_not_count():
    """Nobody can tell whether only the items changed places, or the ids."""
    items = [ITEM | {"id": id_} for id_ in ("k1", "k3", "k2", "k5")]
    results = read(items, ["k1", "k2", "k3", "k4", "k5"])
    assert [result.why if isinstance(result, NoVerdict) else result.label for result in results] == [
        "alert",
        "invalid",
        "invalid",
        "missing",
        "alert",
    ]


def test_missing_and_doubled_items():
    missing, doubled = read([ITEM | {"id": "k2"}, ITEM | {"id": "k2"}], ["k1", "k2"])
    assert (missing.why, doubled.why) == ("missing", "invalid")


CONTROL = {"id": "c", "label": "noise", "priority": 37}


@pytest.mark.parametrize(
    "controls",
    [
        [],
        [CONTROL | {"label": "alert"}],
        [CONTROL | {"priority": 38}],
        [CONTROL] * 2,
        [{"id": "c", "priority": 37}],
        [{"id": "c", "label": "noise"}],
    ],
    ids=["missing", "wrong label", "wrong priority", "doubled", "without label", "without priority"],
)
def test_a_control_that_fails_discards_the_batch(controls):
    (result,) = read([ITEM, *controls], ["k1", "c"], Control("c", "noise", 37))
    assert result.why == "sentinel"


def test_a_control_that_holds_lets_the_others_count():
    (result,) = read([ITEM, CONTROL], ["k1", "c"], Control("c", "noise", 37))
    assert isinstance(result, Verdict)


def test_the_control_has_a_place_too():
    """Otherwise ids moved on by one would go unseen wherever the control's new answer happens to be right."""
    (result,) = read([ITEM, CONTROL], ["c", "k1"], Control("c", "noise", 37))
    assert result.why == "invalid"
