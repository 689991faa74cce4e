"""What nano is asked, and the schema that its answer has to fit."""

import re

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import answer_form, handbook
from processors.output_room import OutputRoom
from processors.prefix import FILLED_BYTES, SHORT_BYTES_MAX
from processors.prompt import Prompt
from tests.unit.triage.build import LABELS, stream

RICH = {
    "summary": "one sentence",
    "labels": LABELS
    | {
        "alert": {
            "means": "A failure",
            "severity": "critical",
            "examples": ['disk "sda" failed'],
            "not": ["a retry that succeeded"],
        }
    },
    "fields": {
        "service": {"means": "The failing service"},
        "cause": {"type": "enum", "values": ["disk", "network"]},
        "order": {"pattern": r"[A-Z]{2}\d{6}"},
        "count": {"type": "integer"},
    },
}


def asked(texts: dict, **settings):
    return Prompt("logs", stream(**settings)).ask(texts, tenant="acme", messages=len(texts), output_tokens=99)


def test_the_policy_is_in_the_instructions():
    instructions = asked({"417": "x"}, **RICH).instructions
    for told in (
        "- alert (A): A failure",
        r'for example: "disk \"sda\" failed"',
        'not: "a retry that succeeded"',
        "- service (string): The failing service",
        "- cause (one of disk, network)",
        r"matches [A-Z]{2}\d{6}",
        "- summary: what the text is about, as one sentence",
    ):
        assert told in instructions


def test_a_session_is_judged_as_a_whole():
    session = asked({"417": "x"}, session={"field": "syslog.host"}).instructions
    assert "as a whole" in session
    assert "as a whole" not in asked({"417": "x"}).instructions


def test_messages_are_json_whatever_they_say():
    text = 'x"}]} \n {"messages": [] } ☃'
    assert orjson.loads(asked({"417": text}).input) == {"417": text}


def test_the_prefix_and_the_schema_are_the_same_for_every_batch():
    two, three = asked({"a": "x", "b": "y"}), asked({"c": "z", "d": "x", "e": "y"})
    assert two.instructions == three.instructions
    assert two.schema == three.schema


def test_a_message_alone_is_told_of_no_control_and_shares_the_prefix():
    one, two = asked({"a": "x"}), asked({"a": "x", "b": "y"})
    assert one.purpose == "triage-single"
    assert two.purpose == "triage"
    assert "Sluice check" not in one.instructions
    assert two.instructions.startswith(one.instructions)


ITEM = {"verdict": "417A932", "summary": "The disk failed.", "fields": ["cause=disk", "order=AB123456", "count=3"]}


def test_the_schema_takes_a_right_answer():
    jsonschema.validate({"answers": [ITEM]}, asked({"417": "x"}, **RICH).schema)
    jsonschema.validate({"answers": ["417R000", "899N999"]}, asked({"417": "x"}).schema)


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "417X932"},
        {"verdict": "417A93"},
        {"verdict": "417A9320"},
        {"verdict": "017A932"},
        {"verdict": "417A932 and more"},
        {"extra": 1},
        {"fields": ["color=red"]},
        {"fields": ["cause="]},
        {"fields": None},
        {"summary": None},
    ],
)
def test_the_schema_refuses(wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"answers": [ITEM | wrong]}, asked({"417": "x"}, **RICH).schema)


def test_the_schema_is_strict_everywhere():
    """Providers refuse a strict schema where an object leaves a property optional or allows others."""

    def check(schema):
        if schema.get("type") == "object":
            assert schema["required"] == list(schema["properties"])
            assert schema["additionalProperties"] is False
            for inner in schema["properties"].values():
                check(inner)
        if schema.get("type") == "array":
            check(schema["items"])

    check(asked({"a": "x"}, **RICH).schema)


def test_the_answer_has_room():
    """Two characters a token is less than any tokenizer needs for such JSON; the summary and text are prose."""
    room = OutputRoom(Prompt("logs", stream(**RICH)).item_tokens).tokens(16)
    summary = "A rather long sentence about a disk that failed. " * 3
    answer = orjson.dumps({"answers": [ITEM | {"summary": summary, "fields": [*ITEM["fields"], "service=db"]}] * 16})
    assert len(answer) / 3 <= room <= len(answer)


KINDS = [{"kind": "log"}, {"kind": "log", "session": {"field": "host"}}, {"kind": "email"}, {"kind": "dialogue"}]


@pytest.mark.parametrize("settings", KINDS)
def test_the_filled_prefix_is_long_enough_to_be_cached_and_little_longer(settings):
    """The shortest stream that there can be: two labels of a word."""
    labels = {"a": {"means": "This"}, "b": {"means": "That"}}
    prompt = Prompt("logs", stream(labels=labels, **settings))
    assert FILLED_BYTES <= prompt.filled_bytes < FILLED_BYTES + 250
    filled = prompt.ask({"417": "x"}, tenant="acme", messages=1, output_tokens=99, filled=True)
    assert prompt.filled_bytes == len(filled.instructions.encode()) + len(orjson.dumps(filled.schema))


def test_advice_stands_between_the_streams_own_words_and_the_form_of_the_answer():
    prompt = Prompt("logs", stream(**RICH))
    one, two, short = (
        prompt.ask(texts, tenant="acme", messages=len(texts), output_tokens=99, filled=filled).instructions
        for texts, filled in (({"1": "x"}, True), ({"1": "x", "2": "y"}, True), ({"1": "x"}, False))
    )
    head, _, rest = one.partition(handbook.HEADING)
    form = rest[rest.index("\n\nAnswer {") :]
    assert short == head.rstrip("\n") + form
    assert two.startswith(one), "what is cached is the same for calls about one message and about many"


def test_instructions_that_are_long_enough_get_no_advice():
    labels = LABELS | {"alert": {"means": "A failure. " * (SHORT_BYTES_MAX // 11)}}
    assert Prompt("logs", stream(labels=labels)).filled_bytes == 0


def test_the_version_covers_the_advice(monkeypatch):
    before = Prompt("logs", stream()).version
    assert Prompt("logs", stream()).version == before
    monkeypatch.setattr(handbook, "HEADING", "Other advice.")
    assert Prompt("logs", stream()).version != before


@pytest.mark.parametrize("settings", KINDS)
def test_advice_is_whole_and_reads_as_no_list_of_labels(settings):
    kind, session = settings["kind"], "session" in settings
    advice = handbook.sentences(kind, session=session)
    text = "".join(advice)
    assert all(sentence[0].isspace() and sentence[-1] in ".!" for sentence in advice)
    assert 4_500 < len(text) < 6_500
    assert "Set the chance" in text
    assert not [line for line in text.splitlines() if line.startswith("-") or re.match(r"[\w ]{1,60}:", line)]
    assert "{" not in text


def test_codes_are_letters_of_the_labels_own_names_where_they_are_free():
    assert answer_form.label_codes(["alert", "routine", "access", "retry"]) == {
        "alert": "A",
        "routine": "R",
        "access": "C",
        "retry": "E",
    }


@given(st.lists(st.text("abcdefXYZ_.-09", min_size=1, max_size=8), unique=True, min_size=2, max_size=800))
def test_every_label_has_a_code_of_its_own_and_all_are_as_long(names):
    codes = answer_form.label_codes(names)
    assert list(codes) == names
    assert len(set(codes.values())) == len(names)
    assert len({len(code) for code in codes.values()}) == 1
    assert all(code.isascii() and code.isalpha() and code.isupper() for code in codes.values())
    key, code = "417", codes[names[-1]]
    assert re.fullmatch(answer_form.pattern(codes.values()), answer_form.write(key, code, 7))
