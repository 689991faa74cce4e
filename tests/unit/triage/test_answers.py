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
TOLD = ["service=db", "cause=disk", "order=AB123456", "count=3", "share=0.5", "paid=true"]
ITEM = {"verdict": "417A900", "summary": "Short.", "fields": TOLD}


def read(items, keys=("417",), control=None):
    """Of a stream with summary and fields."""
    text = items if isinstance(items, str) else orjson.dumps({"answers": items}).decode()
    return Answers(stream(summary="one sentence", fields=FIELDS)).read(text, keys, control, "nano")


def read_short(items, keys=("417",), control=None):
    """Of a stream without: an answer is a string."""
    return Answers(stream()).read(orjson.dumps({"answers": items}).decode(), keys, control, "nano")


def test_a_valid_item_is_a_verdict():
    assert read([ITEM]) == [
        Verdict(
            tier="nano",
            label="alert",
            severity="critical",
            confidence=0.9,
            priority=98,
            fields=VALUES,
            summary="Short.",
            model="nano",
        )
    ]


def test_without_summary_and_fields_a_verdict_is_a_string():
    (verdict,) = read_short(["417N007"])
    assert (verdict.label, verdict.confidence, verdict.fields, verdict.summary) == ("noise", 0.007, {}, None)


def test_what_cannot_wait_comes_before_what_can_and_the_surer_before_the_less_sure():
    alert, unsure, noise = read_short(["417A999", "418A500", "419N999"], ["417", "418", "419"])
    assert 100 > alert.priority > unsure.priority >= 90 > 20 > noise.priority > 0


@pytest.mark.parametrize(
    "wrong",
    [
        *("417", "417X900", "417a900", "417A", "417A93", "417A9320", "417A-93", "417A 93", "417A.93", "417AA900"),
        *("417A93x", "417A93٣", "417alert900"),
    ],
)
def test_an_invalid_answer_says_what_it_should_be(wrong):
    (result,) = read_short([wrong])
    assert isinstance(result, NoVerdict)
    assert result.why == "invalid"
    assert result.detail == f"the answer is '{wrong}', not a key, a code (R routine, A alert, N noise) and three digits"


@pytest.mark.parametrize(
    ("wrong", "detail"),
    [
        ({"summary": None}, "summary is None, not text"),
        ({"fields": None}, "fields is None, not a list"),
        ({"fields": {}}, "fields is {}, not a list"),
        ({"fields": [3]}, "fields is 3, not name=value"),
    ],
)
def test_an_invalid_property_says_which_value_breaks_which_rule(wrong, detail):
    (result,) = read([ITEM | wrong])
    assert result == NoVerdict("invalid", detail)


@pytest.mark.parametrize("name", ["summary", "fields"])
def test_a_property_that_is_missing(name):
    (result,) = read([{key: value for key, value in ITEM.items() if key != name}])
    assert result == NoVerdict("invalid", f"the answer has no `{name}`")


@pytest.mark.parametrize(
    ("name", "told", "expected"),
    [
        ("order", "12", None),  # does not match the pattern
        ("order", "AB123456 and more", None),  # nor does more than it
        ("order", "A" * (FIELD_CHARS_MAX + 1), None),
        ("cause", "fire", None),  # none of the values
        ("service", "d" * (FIELD_CHARS_MAX + 1), "d" * FIELD_CHARS_MAX),
        ("service", "a=b", "a=b"),
        ("service", " ", None),
        ("count", "5.0", 5),
        ("count", "1.5", None),
        ("count", "three", None),
        ("count", "1e300", None),  # no Decision can hold it
        ("count", "٣", None),
        ("share", "2", 2),
        ("share", "nan", None),
        ("share", "1e999", None),
        ("share", "-0.25", -0.25),
        ("paid", "No", False),
        ("paid", "1", None),
    ],
)
def test_fields(name, told, expected):
    (result,) = read([ITEM | {"fields": [f"{name}={told}"]}])
    assert isinstance(result, Verdict)
    assert result.fields == dict.fromkeys(FIELDS) | {name: expected}


def test_of_a_field_that_is_told_twice_the_first_counts_and_strangers_are_dropped():
    (result,) = read([ITEM | {"fields": ["count=1", "count=2", "color=red", "nothing"]}])
    assert result.fields == dict.fromkeys(FIELDS) | {"count": 1}


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "null", "{}", '{"answers": 3}', '{"answers": ["417A'])
def test_garbage_answers_nobody(text):
    assert [result.why for result in read(text, ["417", "418"])] == ["garbage", "garbage"]


def test_items_are_found_by_key_and_strangers_dropped():
    items = ["999A900", "417A900", 5, {"verdict": ["417A900"]}, "", {}, None, "٤١٧A900", "418N900"]
    assert [verdict.label for verdict in read_short(items, ["417", "418"])] == ["alert", "noise"]


def test_items_that_changed_places_do_not_count():
    """Nobody can tell whether only the items changed places, or the keys."""
    results = read_short([f"{key}A900" for key in (401, 403, 402, 405)], ["401", "402", "403", "404", "405"])
    assert [result.why if isinstance(result, NoVerdict) else result.label for result in results] == [
        "alert",
        "invalid",
        "invalid",
        "missing",
        "alert",
    ]


def test_missing_and_doubled_items():
    missing, doubled = read_short(["402A900", "402A900"], ["401", "402"])
    assert (missing.why, doubled.why) == ("missing", "invalid")


CONTROL = Control("500", "N", 37)


@pytest.mark.parametrize(
    "controls",
    [[], ["500A037"], ["500N038"], ["500N037", "500N037"], ["500"], ["500N"], ["500N37"], ["500noise037"]],
    ids=["missing", "wrong label", "wrong digits", "doubled", "key only", "without digits", "two digits", "by name"],
)
def test_a_control_that_fails_discards_the_batch(controls):
    (result,) = read_short(["417A900", *controls], ["417", "500"], CONTROL)
    assert result.why == "sentinel"


def test_a_control_that_holds_lets_the_others_count():
    (result,) = read_short(["417A900", "500N037"], ["417", "500"], CONTROL)
    assert isinstance(result, Verdict)


def test_an_object_may_hold_the_control():
    """Where the stream wants a summary, the control has one too: it says nothing."""
    (result,) = read([ITEM, {"verdict": "500N037", "summary": "", "fields": []}], ["417", "500"], CONTROL)
    assert isinstance(result, Verdict)


def test_the_control_has_a_place_too():
    """Otherwise keys moved on by one would go unseen wherever the control's new answer happens to be right."""
    (result,) = read_short(["417A900", "500N037"], ["500", "417"], CONTROL)
    assert result.why == "invalid"
