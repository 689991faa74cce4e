"""The tool `runbooks`."""

from pathlib import Path
from typing import Any

import pytest

from processors.agents.runbooks import Runbooks
from processors.errors import ConfigurationError
from tests.unit.agents.build import escalation
from topics import limits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / "disks.md").write_text(
        "Who to call: storage team.\n\n# Disk failure\nReplace the disk.\n\n## Aborted journal\nRemount read-only.\n"
    )
    (tmp_path / "network.md").write_text("# Packet loss ##\nThe disk is not to blame. Check the switch.\n\n# Empty\n")
    (tmp_path / "notes.txt").write_text("# Disk failure\nnot Markdown\n")
    return tmp_path


async def look_up(tool: Runbooks, query: str) -> Any:
    return await tool.call(Runbooks.Arguments(query=query), escalation())


async def test_the_section_whose_title_says_it_comes_first(folder: Path) -> None:
    found = await look_up(Runbooks.read(str(folder)), "What about a DISK failure?")
    assert [section["title"] for section in found] == ["Disk failure", "Packet loss"]
    assert found[0] == {"file": "storage/disks.md", "title": "Disk failure", "text": "Replace the disk."}


async def test_text_before_the_first_heading_is_found_by_the_files_name(folder: Path) -> None:
    (best, *_) = await look_up(Runbooks.read(str(folder)), "call storage team")
    assert (best["title"], best["text"]) == ("disks", "Who to call: storage team.")


async def test_what_fits_nothing_finds_nothing(folder: Path) -> None:
    tool = Runbooks.read(str(folder))
    assert await look_up(tool, "quantum") == []
    assert await look_up(tool, "") == []


async def test_answers_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "long.md").write_text("\n".join(f"# Disk {n}\n{'disk ' * 10_000}" for n in range(10)))
    found = await look_up(Runbooks.read(str(tmp_path)), "disk")
    assert len(found) == limits.RUNBOOK_SECTIONS_MAX
    assert sum(len(section["text"]) for section in found) < limits.TOOL_OUTPUT_CHARS_MAX


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        Runbooks.read(str(tmp_path / "nowhere"))
    for n in range(limits.RUNBOOK_FILES_MAX + 1):
        (tmp_path / f"{n}.md").touch()
    with pytest.raises(ConfigurationError, match=f"{limits.RUNBOOK_FILES_MAX + 1} Markdown files"):
        Runbooks.read(str(tmp_path))
