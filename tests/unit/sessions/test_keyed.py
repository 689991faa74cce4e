"""Lines that are written to a stream of sessions are keyed by session, so that each is in one partition."""

from collections.abc import AsyncIterator

from local.drive import Fed
from streams.ingest import keyed
from streams.sources import FileRecord
from tests.unit.sessions.build import line, spec, stream


async def _records(*values: FileRecord) -> AsyncIterator[FileRecord]:
    for value in values:
        yield value


def _file_record(fed: Fed, key: bytes | None = None) -> FileRecord:
    return FileRecord(key, fed.value, None, "file:1")


async def test_the_session_becomes_the_key_where_there_is_none() -> None:
    bare, owned, none = _file_record(line(7)), _file_record(line(8), b"own"), FileRecord(None, b"no block", None, "f:2")
    found = [record.key async for record in keyed(stream(), _records(bare, owned, none))]
    assert found == [b"7", b"own", None]


async def test_a_field_may_be_the_session() -> None:
    by_host = stream(spec(field="syslog.host"))
    record = FileRecord(None, b"<14>Nov 17 09:28:07 web-1 app[14743]: job done", None, "f:1")
    assert [found.key async for found in keyed(by_host, _records(record))] == [b"web-1"]


async def test_other_streams_are_left_as_they_are() -> None:
    record = _file_record(line(7))
    assert [found async for found in keyed(stream(session=None), _records(record))] == [record]
