"""The sample streams: a story that hangs together, in every shape, labelled in the words of the demo's policy."""

import fnmatch
import random
import re
import sqlite3
import tomllib
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from local.demo import policy as demo_policy
from local.samples import Sample, generate
from local.samples.__main__ import main
from local.samples.wording import Wording, read
from processors.items import Ignored, Item
from processors.normalise.normaliser import normaliser_for
from processors.policy import Policy
from processors.rules import Rules
from topics.messages import Rejected
from topics.records import Headers

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Taken:
    """A sample as a consumer sees it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def taken(sample: Sample, value: bytes | None) -> Taken:
    return Taken(sample.topic, 0, int(sample.id[-5:]), sample.timestamp_ms, sample.key, value, sample.headers)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(generate(7))


@pytest.fixture(scope="module")
def few() -> list[Sample]:
    """As few as still hold the story: for what needs a run of its own."""
    return list(generate(7, 600))


@pytest.fixture(scope="module")
def policy() -> Policy:
    return demo_policy.load()


@pytest.fixture(scope="module")
def read_by_pipeline(samples: list[Sample], policy: Policy) -> list[tuple[Sample, Item | Ignored | Rejected]]:
    normalisers = {name: normaliser_for(name, stream) for name, stream in policy.streams.items()}
    return [(sample, normalisers[sample.stream].read(taken(sample, sample.value))) for sample in samples]


def of(samples: list[Sample], stream: str) -> list[Sample]:
    return [sample for sample in samples if sample.stream == stream]


def test_a_seed_gives_the_same_samples_every_time(few: list[Sample]) -> None:
    assert list(generate(7, 600)) == few


def test_another_seed_gives_other_samples(few: list[Sample]) -> None:
    same = sum(one.value == other.value for one, other in zip(few, generate(8, 600), strict=True))
    assert same < len(few) / 10


@pytest.mark.parametrize("messages", [601, 1234])
def test_there_are_as_many_as_asked_for(messages: int) -> None:
    assert sum(1 for _ in generate(1, messages)) == messages


def test_too_few_messages_are_refused() -> None:
    with pytest.raises(ValueError, match="needs at least 600"):
        generate(1, 100)


def test_ids_are_unique_and_time_only_goes_on(samples: list[Sample]) -> None:
    assert len({sample.id for sample in samples}) == len(samples)
    times = [sample.timestamp_ms for sample in samples]
    assert times == sorted(times)


def test_streams_have_their_shares(samples: list[Sample]) -> None:
    counts = Counter(sample.stream for sample in samples)
    assert counts == {"logs": 2200, "emails": 450, "dialogues": 350}


def test_what_escalates_is_a_few_percent(samples: list[Sample], policy: Policy) -> None:
    worth = [
        s for s in samples if s.label and policy.streams[s.stream].labels[s.label].escalate in ("mini", "flagship")
    ]
    assert 0.03 < len(worth) / len(samples) < 0.07
    assert {s.label for s in worth} == {"outage", "security", "phishing", "fraud"}


def test_gold_labels_are_the_policys_and_all_of_them_occur(samples: list[Sample], policy: Policy) -> None:
    for name, stream in policy.streams.items():
        assert {s.label for s in of(samples, name)} - {None} == set(stream.labels)


def test_gold_fields_fit_the_policys(samples: list[Sample], policy: Policy) -> None:
    causes = {s.labels["cause"] for s in of(samples, "logs") if "cause" in s.labels}
    assert causes <= set(policy.streams["logs"].fields["cause"].values)
    assert all(len(s.labels["order_id"]) == 8 for s in samples if "order_id" in s.labels)


def test_values_that_begin_like_json_are_json(samples: list[Sample]) -> None:
    shapes = Counter[str]()
    for sample in samples:
        if sample.value and sample.value[:1] in b'{["':
            value = orjson.loads(sample.value)
            shapes["quoted" if isinstance(value, str) else " ".join(sorted(value)) if sample.payload else "defect"] += 1
    assert {"quoted", "line", "payload schema", "id payload source stream time", "raw", "body from subject to"} <= set(
        shapes
    )
    assert {"conversation_id speaker text", "log stream time"} <= set(shapes)
    assert any("@timestamp" in shape for shape in shapes)
    assert any("timeUnixNano" in shape for shape in shapes)


def test_no_slot_is_left_open(samples: list[Sample]) -> None:
    slot = re.compile(r"\{(?:[a-z_]+\d*|\d+-\d+|[^{}]*\|[^{}]*)\}")
    for sample in samples:
        assert sample.payload is None or not [text for text in sample.payload.values() if slot.search(text)]


def test_texts_are_many(samples: list[Sample]) -> None:
    """No text makes up a tenth of a stream, and mail and dialogues hardly repeat themselves."""
    for stream, distinct_min in (("logs", 0.5), ("emails", 0.98), ("dialogues", 0.7)):
        texts = Counter(
            orjson.dumps({k: v for k, v in s.payload.items() if k != "conversation_id"})
            for s in of(samples, stream)
            if s.payload
        )
        assert texts.most_common(1)[0][1] < texts.total() / 10
        assert len(texts) > distinct_min * texts.total()


def test_there_are_several_hundred_templates() -> None:
    logs, mails, talks = read("logs"), read("emails")["mails"], read("dialogues")["talks"]
    lines = [line for scene in logs["scenes"] for line in scene["lines"]]
    turns = [line for talk in talks for line in talk["lines"].strip().splitlines()]
    assert len(set(lines)) + len(logs["beats"]) + len(mails) + len(set(turns)) > 450


def test_the_pipeline_reads_every_message(read_by_pipeline: list[tuple[Sample, object]]) -> None:
    for sample, seen in read_by_pipeline:
        if sample.payload is not None:
            assert isinstance(seen, Ignored if sample.label is None else Item), (sample, seen)


def test_the_pipeline_refuses_what_is_no_message(read_by_pipeline: list[tuple[Sample, object]]) -> None:
    bad = {sample.id: (sample.labels["defect"], seen) for sample, seen in read_by_pipeline if sample.payload is None}
    assert len(bad) == 11
    for defect, seen in bad.values():
        match defect:
            case "tombstone":
                assert isinstance(seen, Ignored)
            case "empty":
                assert isinstance(seen, Rejected)
            case _:
                assert isinstance(seen, Rejected)
                assert seen.reason == defect


def test_mail_and_turns_read_the_same_in_every_shape(
    read_by_pipeline: list[tuple[Sample, Item | Ignored | Rejected]], policy: Policy
) -> None:
    """What a gold file holds is what a model is shown, however the record was wrapped."""
    normalisers = {name: normaliser_for(name, stream) for name, stream in policy.streams.items()}
    for sample, seen in read_by_pipeline:
        if sample.payload is not None and sample.stream != "logs":
            again = normalisers[sample.stream].read(taken(sample, orjson.dumps(sample.record()["payload"])))
            assert getattr(again, "text", None) == getattr(seen, "text", None)


def test_memory_earns_something_in_the_logs(read_by_pipeline: list[tuple[Sample, object]]) -> None:
    texts = [
        seen.memory_text for sample, seen in read_by_pipeline if isinstance(seen, Item) and sample.stream == "logs"
    ]
    assert 0.25 < 1 - len(set(texts)) / len(texts) < 0.40


def test_the_same_text_never_has_two_labels(read_by_pipeline: list[tuple[Sample, object]]) -> None:
    labels: dict[tuple[str, str], set[str | None]] = {}
    for sample, seen in read_by_pipeline:
        if isinstance(seen, Item):
            labels.setdefault((sample.stream, seen.memory_text), set()).add(sample.label)
    assert [text for text, given in labels.items() if len(given) > 1] == []


def test_the_incident_unfolds_in_order(samples: list[Sample]) -> None:
    lines = [str(sample.payload["line"]) for sample in of(samples, "logs") if sample.payload]
    acts = [
        "is 85% full",
        "PANIC:",
        "Circuit breaker 'ledger' opened",
        "pg_drop_replication_slot",
        "ready to accept",
        "resolved: 99.4%",
    ]
    places = [next(n for n, line in enumerate(lines) if act in line) for act in acts]
    assert places == sorted(places)


def test_the_fraud_report_unfolds_over_turns(samples: list[Sample]) -> None:
    talk = [s for s in of(samples, "dialogues") if s.labels.get("talk") == "Nora's account is taken over"]
    assert len(talk) == 22
    assert len({sample.key for sample in talk}) == 1
    labels = [sample.label for sample in talk if sample.label]
    assert [label for label, before in zip(labels, [None, *labels], strict=False) if label != before] == [
        "greeting",
        "service",
        "fraud",
    ]


def test_turns_that_are_not_the_customers_have_no_label(samples: list[Sample]) -> None:
    for sample in of(samples, "dialogues"):
        if sample.payload:
            assert (sample.label is None) == (sample.payload["speaker"] == "agent")


def test_one_mail_orders_the_model_about(samples: list[Sample]) -> None:
    attacks = [sample for sample in samples if sample.labels.get("injection")]
    assert [sample.label for sample in attacks] == ["phishing"]


def test_agents_find_the_evidence_of_the_story(samples: list[Sample], tmp_path: Path) -> None:
    with demo_policy.database(tmp_path) as url, closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as db:
        rows = db.execute(
            "SELECT o.order_id, p.amount_eur FROM orders o JOIN payments p USING (order_id) "
            "WHERE o.customer_id = 'c-48213' AND o.ships_to LIKE '%locker%'"
        )
        orders = dict(rows.fetchall())
    said = next(
        str(s.payload["line"]) for s in of(samples, "logs") if s.payload and "Velocity rule" in str(s.payload["line"])
    )
    assert all(order in said for order in orders)
    assert f"{sum(orders.values()):.2f} EUR" in said


def test_the_command_writes_records_that_can_be_gold(tmp_path: Path, few: list[Sample]) -> None:
    result = CliRunner().invoke(main, ["--seed", "7", "--messages", "600", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "logs.jsonl: 434 records" in result.output
    for stream in ("logs", "emails", "dialogues"):
        records = [orjson.loads(line) for line in (tmp_path / f"{stream}.jsonl").read_bytes().splitlines()]
        assert records == [sample.record() for sample in of(few, stream) if sample.payload]
        assert list(records[0]) == ["id", "stream", "source", "time", "payload", "label", "labels"]


def test_what_is_no_message_has_no_record(samples: list[Sample]) -> None:
    with pytest.raises(ValueError, match="tombstone"):
        next(sample for sample in samples if sample.value is None).record()


def test_the_demos_rules_decide_as_its_tests_expect(policy: Policy) -> None:
    """Where a rule names the label, no model can spoil the policy's own test."""
    decided = 0
    for number, test in enumerate(policy.tests):
        stream = policy.streams[test.stream]
        record = Taken(stream.topics[0], 0, number, 0, None, test.text.encode(), ())
        item = normaliser_for(test.stream, stream).read(record)
        assert isinstance(item, Item), item
        held = Rules(stream).first(item)
        if held is not None and held.verdict is not None:
            decided += 1
            assert held.verdict.label == test.expect.label
            assert test.expect.escalate in (None, held.rule.then.escalate or stream.labels[held.verdict.label].escalate)
    assert len(policy.tests) >= 8
    assert decided == 2


def test_slots_are_filled_from_the_inside_out() -> None:
    wording = Wording({"colour": ["brass"], "lamp": ["{colour} lamp"]}, random.Random(1))
    known = {"who": "Nora"}
    assert (
        wording.fill('{who} likes {a {lamp}|a {lamp}} {"json": {3-3}}', known) == 'Nora likes a brass lamp {"json": 3}'
    )
    assert known == {"who": "Nora", "lamp": "brass lamp", "colour": "brass"}


def test_an_unknown_slot_is_an_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        Wording({}, random.Random(1)).fill("{nobody}", {})


def test_an_installed_distribution_carries_the_texts() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package in ("local.samples", "local.demo"):
        folder = ROOT.joinpath(*package.split("."))
        data = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in (".toml", ".md", ".sql")]
        assert data
        for name in data:
            assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns[package]), name
