"""A source as messages and as sessions, and what is drawn of a long one."""

from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from local.eval import views
from local.eval.sources import SourceSpec
from processors.policy import Policy, Session
from tests.unit.eval.build import source

SPEC = SourceSpec(
    name="logs.blocks",
    data="blocks.jsonl",
    gold="label",
    values={},
    positive="anomaly",
    figure="f1",
    unit="block",
    note="Made here.",
)


def blocks(folder: Path, lines: Sequence[tuple[str, int]]) -> Path:
    """Lines of (block, second); every line of a block that begins with x is an anomaly."""
    file = folder / "blocks.jsonl"
    with file.open("wb") as out:
        for number, (block, second) in enumerate(lines):
            record = {
                "id": f"r{number}",
                "time": f"2026-11-17T09:{second // 60:02d}:{second % 60:02d}Z",
                "payload": {"line": f"INFO storage: received block blk_{block}"},
                "label": "anomaly" if block.startswith("x") else "normal",
                "labels": {"block": block},
            }
            out.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    return file


def policy(session: Session | None) -> Policy:
    labels = {"normal": {"means": "An ordinary step"}, "anomaly": {"means": "A step that no block takes"}}
    made = Policy.model_validate({"streams": {"store": {"kind": "log", "topics": ["store"], "labels": labels}}})
    stream = made.streams["store"].model_copy(update={"session": session})
    return made.model_copy(update={"streams": {"store": stream}})


def test_lines_of_a_block_are_one_message_that_stands_for_them(tmp_path: Path) -> None:
    file = blocks(tmp_path, [("a", 0), ("x", 1), ("a", 2), ("b", 3), ("a", 100), ("x", 101)])
    given = policy(Session(key=r"blk_(\w+)", idle="30s"))
    found = views.read(file, SPEC, given, limit=100, rate=10)
    assert found.single.lines == len(found.single.messages) == 6
    assert found.sessions is not None
    told = [(message.unit, message.lines, message.gold) for message in found.sessions.messages]
    assert sorted(told) == [
        ("a", 1, "normal"),  # what came after the block had been quiet for more than 30 s
        ("a", 2, "normal"),
        ("b", 1, "normal"),
        ("x", 1, "anomaly"),
        ("x", 1, "anomaly"),
    ]
    assert found.main is found.sessions
    assert found.sessions.lines == 6
    times = [message.at_s for message in found.sessions.messages]
    assert times == sorted(times)
    assert times[0] == pytest.approx(0.4)  # the line whose time ends the first session is the fifth, at 10 a second


def test_of_a_long_source_whole_blocks_are_drawn(tmp_path: Path) -> None:
    lines = [(f"n{number % 50}", number) for number in range(500)]
    found = views.read(blocks(tmp_path, lines), SPEC, policy(None), limit=200, rate=10)
    sizes: dict[str, int] = {}
    for message in found.single.messages:
        sizes[message.unit] = sizes.get(message.unit, 0) + 1
    assert set(sizes.values()) == {10}, "every block that is there is whole"
    assert 5 <= len(sizes) <= 35, "about 20 of 50"
    assert found.of == 500
    again = views.read(blocks(tmp_path, lines), SPEC, policy(None), limit=200, rate=10)
    assert [m.item.text for m in again.single.messages] == [m.item.text for m in found.single.messages]


def test_of_other_sources_the_first_messages_are_taken(tmp_path: Path) -> None:
    file, spec, given = source(tmp_path)
    found = views.read(file, spec, given, limit=25, rate=10)
    assert len(found.single.messages) == 25
    assert found.sessions is None
    assert found.main is found.single
    assert [message.at_s for message in found.single.messages[:3]] == pytest.approx([0.0, 0.1, 0.2])
