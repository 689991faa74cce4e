"""What every kind's normaliser does alike: origin, headers, tombstones, rejections."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.errors import ConfigurationError
from processors.items import Ignored, Item
from processors.normalise.normaliser import Normaliser, normaliser_for
from tests.unit.normalise.records import FakeRecord, json, stream
from topics import codec, limits
from topics.messages import Rejected, Source

KINDS = {
    "log": {"line": "disk full"},
    "email": {"subject": "Hello", "body": "Where is my order?"},
    "dialogue": {"conversation_id": "c1", "speaker": "customer", "text": "Hi"},
}


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def normaliser(kind: str) -> Normaliser:
    return normaliser_for("support", stream(kind, tenant={"header": "team", "default": "house"}))


def test_an_item_says_where_it_comes_from(kind: str) -> None:
    item = normaliser(kind).read(json(KINDS[kind], key=b"k\xff", offset=7, partition=2))
    assert isinstance(item, Item)
    assert item.id == "in/2/7"
    assert item.source == Source("in", 2, 7, "k�", 1_700_000_000_000)
    assert (item.stream, item.tenant, item.kind) == ("support", "house", kind)
    assert (item.asked_tier, item.traceparent, item.truncated) == (None, None, False)


def test_headers_name_tenant_tier_and_trace(kind: str) -> None:
    headers = (("team", b"acme"), ("sluice-escalate", b"Flagship"), ("traceparent", b"00-a-b-01"), ("x", b"\xff"))
    item = normaliser(kind).read(json(KINDS[kind], headers=headers))
    assert isinstance(item, Item)
    assert (item.tenant, item.asked_tier, item.traceparent) == ("acme", "flagship", b"00-a-b-01")


@pytest.mark.parametrize("asked", [b"", b"nano", b"everything", b"\xff"])
def test_another_tier_than_mini_or_flagship_is_not_asked_for(asked: bytes) -> None:
    item = normaliser("log").read(json(KINDS["log"], headers=(("sluice-escalate", asked),)))
    assert isinstance(item, Item)
    assert item.asked_tier is None


@pytest.mark.parametrize("tenant", [b"", b"  ", b"x" * 1_000])
def test_what_is_no_tenant_leaves_the_default(tenant: bytes) -> None:
    item = normaliser("log").read(json(KINDS["log"], headers=(("team", tenant),)))
    assert isinstance(item, Item)
    assert item.tenant == "house"


def test_a_tombstone_is_ignored(kind: str) -> None:
    ignored = normaliser(kind).read(FakeRecord(None, key=b"k", headers=(("team", b"acme"),)))
    assert isinstance(ignored, Ignored)
    assert (ignored.why, ignored.stream, ignored.tenant) == ("tombstone", "support", "acme")


def test_a_key_is_kept_to_a_length() -> None:
    item = normaliser("log").read(json(KINDS["log"], key=b"k" * 5_000))
    assert isinstance(item, Item)
    assert item.source.key == "k" * limits.KEY_CHARS_MAX


@pytest.mark.parametrize("format", ["syslog", "ecs", "otel", "docker", "cri"])
@pytest.mark.parametrize("kind", ["email", "dialogue"])
def test_a_format_of_log_lines_needs_a_stream_of_logs(kind: str, format: str) -> None:
    with pytest.raises(ConfigurationError, match=f"streams.support.format: '{format}'"):
        normaliser_for("support", stream(kind, format=format))


def in_every_shape(text: str) -> bytes:
    return codec.encode({"line": text, "body": text, "turns": [{"speaker": text, "text": text}]})


@given(
    value=st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: b"Subject: x\nContent-Type: text/html\n\n" + text.encode())
    | st.text(max_size=300).map(in_every_shape),
    key=st.none() | st.binary(max_size=20),
)
@pytest.mark.parametrize("name", sorted(KINDS))
def test_nothing_raises_and_everything_can_be_written(name: str, value: bytes, key: bytes | None) -> None:
    record = FakeRecord(value, key=key)
    read = normaliser(name).read(record)
    normaliser(name).recall(record)
    assert isinstance(read, Item | Rejected)
    codec.encode(
        read if isinstance(read, Rejected) else {"text": read.text, "fields": read.fields, "key": read.source.key}
    )
