"""Files become records: gold is never sent, times and conversations are kept."""

import gzip
from pathlib import Path

import orjson
import pytest

from processors.errors import ConfigurationError
from streams import sources


def test_gold_is_never_sent(tmp_path: Path) -> None:
    file = tmp_path / "mail.jsonl"
    file.write_text('{"id":"m1","time":"2020-01-01T00:00:00Z","payload":{"raw":"x"},"label":"spam","labels":{"a":1}}\n')
    [record] = sources.read(file)
    assert orjson.loads(record.value or b"").keys() == {"id", "time", "payload"}
    assert record.timestamp_ms == 1_577_836_800_000
    assert record.key is None


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    file = tmp_path / "logs.jsonl"
    file.write_text('{"time":"2020-01-01T00:00:00.250","payload":{"line":"x"}}\n{"time":null,"payload":{"line":"x"}}\n')
    assert [record.timestamp_ms for record in sources.read(file)] == [1_577_836_800_250, None]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('{"id":"d1","payload":{"turns":[]}}', b"d1"),
        ('{"id":"d1","payload":{"conversation_id":"c9","speaker":"customer","text":"x"}}', b"c9"),
        ('{"conversation_id":7,"speaker":"customer","text":"x"}', b"7"),
        ('{"line":"x"}', None),
    ],
)
def test_the_key_is_the_conversation(tmp_path: Path, line: str, key: bytes | None) -> None:
    file = tmp_path / "talk.jsonl"
    file.write_text(line)
    assert [record.key for record in sources.read(file)] == [key]


def test_lines_and_zipped_lines_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"one\r\ntwo\nfour")
    with gzip.open(tmp_path / "a.log.gz", "wb") as file:
        file.write(b"one\r\ntwo\nfour")
    plain = [record.value for record in sources.read(tmp_path / "a.log")]
    assert plain == [record.value for record in sources.read(tmp_path / "a.log.gz")] == [b"one", b"two", b"four"]


def test_blank_lines_are_no_records_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(b"\n  one\r\n\r\n \t\ntwo\n\n")
    assert [(record.value, record.place) for record in sources.read(file)] == [
        (b"  one", f"{file}:2"),
        (b"two", f"{file}:5"),
    ]


def test_an_mbox_is_taken_apart(tmp_path: Path) -> None:
    file = tmp_path / "in.mbox"
    file.write_bytes(b"From a@b Mon\nSubject: 1\n\n>From here\nFrom c@d Tue\nSubject: 2\n\nx\n")
    assert [r.value for r in sources.read(file)] == [b"Subject: 1\n\nFrom here\n", b"Subject: 2\n\nx\n"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}\n{oops\n", r"a.jsonl:2: this line is not JSON"),
        ("[1]\n", r"a.jsonl:1: this line is JSON but no object"),
        ('{"time":"yesterday"}\n', r"a.jsonl:1: time 'yesterday' is no ISO 8601 time"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        list(sources.read(file))


def test_a_broken_archive_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.log.gz"
    file.write_bytes(b"no gzip")
    with pytest.raises(ConfigurationError, match=r"a\.log\.gz: cannot be read"):
        list(sources.read(file))
