"""Gold is found by text, however the prompt shows it, and never from the future."""

import gzip
import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from local.standin.gold import Gold, read_gold

WORDS = ("journal", "disk", "sector", "node", "kernel", "mount", "retry", "socket", "ledger", "harbour", "copper")


def record(label: str | None, payload: dict[str, Any], **labels: Any) -> dict[str, Any]:
    return {"payload": payload, "label": label, "labels": labels, "file": "s"}


def dialogue(label: str, *turns: tuple[str, str], **labels: Any) -> dict[str, Any]:
    return record(label, {"turns": [{"speaker": speaker, "text": text} for speaker, text in turns]}, **labels)


def prose(seed: int, words: int) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) + str(rng.randrange(99)) for _ in range(words))


def test_a_line_is_found_whatever_its_case_and_spaces() -> None:
    gold = Gold([record("alert", {"line": "EXT4-fs  error on sda1"}), record("routine", {"line": "all is well"})])
    match = gold.find("ext4-fs error  ON sda1 ")
    assert match is not None
    assert (match.how, match.record.label) == ("exact", "alert")
    assert gold.find("something else entirely") is None


def test_cut_cleaned_and_quoted_texts_are_found() -> None:
    records = [record(f"l{seed}", {"subject": f"mail {seed}", "body": prose(seed, 120)}) for seed in range(50)]
    gold = Gold(records)
    body = records[7]["payload"]["body"]
    half, quoted = body[: len(body) // 2], "Please judge this for us: " + body + " -- thank you, colleagues"
    for text in (half, body.replace(" ", " \n> "), quoted):
        match = gold.find(text)
        assert match is not None
        assert (match.how, match.record.label) == ("similar", "l7")
    assert gold.find(prose(999, 120)) is None


def test_a_raw_mail_is_found_by_the_text_that_a_reader_sees() -> None:
    body = prose(1, 60)
    html = f"<html><body><p>{body.replace(' ', '</b> ', 1)}</p></body></html>"
    gold = Gold([record("spam", {"raw": f"From: a@b.example\nSubject: Hello\n\n{html}"})])
    match = gold.find(f"Subject: Hello\n\n{body}")
    assert match is not None
    assert match.record.label == "spam"


def test_a_conversation_counts_once_its_last_turn_of_the_customer_is_shown() -> None:
    gold = Gold(
        [
            dialogue(
                "fraud",
                ("customer", "good morning I have a question about my card please"),
                ("agent", "of course what is it about may I ask"),
                ("customer", "there is a payment of 300 euro that I never made"),
                ("agent", "thank you and goodbye"),
            )
        ]
    )
    first = "customer: good morning I have a question about my card please"
    asked = f"{first}\nagent: of course what is it about may I ask"
    early = gold.find(asked)
    assert early is not None
    assert early.how == "part"
    late = gold.find(f"{asked}\ncustomer: there is a payment of 300 euro that I never made")
    assert late is not None
    assert late.how != "part"


def test_turns_that_come_one_by_one_have_the_gold_of_the_talk_so_far() -> None:
    def turn(label: str | None, speaker: str, text: str) -> dict[str, Any]:
        return record(label, {"conversation_id": "c1", "speaker": speaker, "text": text})

    gold = Gold(
        [turn("greeting", "customer", "hi"), turn(None, "agent", "hello"), turn("upset", "customer", "this is a joke")]
    )
    first, last = gold.find("customer: hi"), gold.find("customer: hi\nagent: hello\ncustomer: this is a joke")
    assert first is not None
    assert last is not None
    assert (first.record.label, last.record.label) == ("greeting", "upset")


def test_a_line_of_a_session_alone_is_only_a_part() -> None:
    lines = [f"081109 2035{n} block blk_42 served from node {n} to client {n}" for n in range(10, 20)]
    gold = Gold([record("anomaly", {"line": line}, block="blk_42") for line in lines])
    alone, whole = gold.find(lines[-1]), gold.find("\n".join(lines))
    assert alone is not None
    assert whole is not None
    assert alone.how == "part"
    assert whole.how == "similar"


@pytest.mark.parametrize(
    ("label", "labels", "choices", "expected"),
    [
        ("HR Support", {}, ("hr_support", "hardware"), "hr_support"),
        ("plane_book", {"escalate": True}, ("escalate", "routine"), "escalate"),
        ("plane_book", {"escalate": False}, ("escalate", "routine"), "routine"),
        ("lost_card", {"fraud_or_loss": True}, ("service", "fraud"), "fraud"),
        ("weather", {"out_of_scope": False}, ("in_scope", "oos"), "in_scope"),
        ("normal", {"level": "FATAL"}, ("info", "fatal"), "fatal"),
        ("weather", {}, ("spam", "ham"), None),
        ("weather", {"escalate": False}, ("escalate", "routine", "other"), None),
    ],
)
def test_gold_speaks_a_policys_labels(
    label: str, labels: dict[str, Any], choices: tuple[str, ...], expected: str | None
) -> None:
    (found,) = Gold([record(label, {"line": "x"}, **labels)]).records
    assert found.label_among(choices) == expected


def test_files_are_read_plain_and_compressed_and_errors_name_the_line(tmp_path: Path) -> None:
    line = orjson.dumps(record("alert", {"line": "boom"})) + b"\n"
    plain, packed, broken = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz", tmp_path / "c.jsonl"
    plain.write_bytes(line)
    packed.write_bytes(gzip.compress(line))
    broken.write_bytes(line + b'{"payload": 1}\n')
    assert len(list(read_gold([plain, packed]))) == 2
    with pytest.raises(ValueError, match=r"c\.jsonl, line 2: no gold record"):
        list(read_gold([broken]))
    with pytest.raises(ValueError, match=r"c\.jsonl, line 2: no gold record"):
        list(read_gold([broken]))


def test_counted_lines_are_shown_and_the_last_one_only_where_all_of_its_form_are() -> None:
    lines = [f"081109 2035{n} {n} INFO block blk_42 served from 10.0.0.{n} to client" for n in range(10, 16)]
    lines += [f"081109 2036{n} {n} WARN block blk_42 lost on 10.0.0.{n} for ever" for n in range(10, 12)]
    gold = Gold([record("anomaly", {"line": line}, block="blk_42") for line in lines])
    early = gold.find(f"7 lines in 9 s\n6 × {lines[0]}\n1 × {lines[6]}\nlast: {lines[6]}")
    whole = gold.find(f"8 lines in 9 s\n6 × {lines[0]}\n2 × {lines[6]}\nlast: {lines[7]}")
    assert early is not None
    assert whole is not None
    assert (early.how, whole.how) == ("part", "similar")
