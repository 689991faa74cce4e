"""The chaos suite's record of what its workers did: a line that is half there is none."""

from pathlib import Path

from tests.chaos import journal


def test_a_line_that_a_kill_or_a_reader_cut_is_passed_over(tmp_path: Path) -> None:
    worker = journal.Journal(tmp_path, "w1")
    worker.note("call", 0, 1, "a")
    worker.note("health", 2, 0)
    worker.note("ended", 0, 1, "a")
    file = tmp_path / "w1.journal"
    whole = file.read_bytes()
    file.write_bytes(whole + whole.splitlines()[1][:24])  # as it was met once: time, name and half a word
    assert [entry.what for entry in journal.read(tmp_path)] == ["call", "health", "ended"]
    found = journal.last(tmp_path, "w1", "health")
    assert found is not None
    assert found.partition == 2
