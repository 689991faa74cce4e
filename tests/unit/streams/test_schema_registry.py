"""The registry's client, over HTTP to a server that answers as registries do."""

import asyncio

import orjson
import pytest

from processors.errors import AccountError, KeyRefused, ProviderUnavailable
from streams.schema_registry import RegistryAccess, SchemaRegistry, SchemaUnknown, SchemaUnusable
from tests.fakes import ManualClock
from tests.unit.streams.registries import LINE, FakeRegistry, Impatient, serving
from topics import schemas
from topics.catalog import OWNED


def client(registry: FakeRegistry) -> SchemaRegistry:
    return SchemaRegistry(registry.access, Impatient())


async def test_a_schema_is_told_with_those_that_it_is_made_of_in_their_order() -> None:
    async with serving() as registry, client(registry) as asked:
        registry.put(7, "c", references=[{"name": "B", "subject": "b s", "version": 2}])
        registry.versions["b%20s", 2] = registry.versions["b s", 2] = {
            "schema": "b",
            "references": [{"name": "A", "subject": "a", "version": 1}],
        }
        registry.versions["a", 1] = {"schema": "a"}
        schema = await asked.schema(7)
        assert (schema.kind, schema.text, schema.references) == ("AVRO", '"c"', ("a", "b"))
        registry.put(8, LINE, schemaType="JSON")
        assert (await asked.schema(8)).kind == "JSON"


async def test_schemas_that_refer_to_each_other_end() -> None:
    async with serving() as registry, client(registry) as asked:
        for version in range(1, 200):
            following = [{"name": "X", "subject": "x", "version": version + 1}]
            registry.versions["x", version] = {"schema": "x", "references": following}
        registry.put(1, "x", references=[{"name": "X", "subject": "x", "version": 1}])
        with pytest.raises(SchemaUnusable, match="more than 50"):
            await asked.schema(1)


async def test_an_id_that_is_not_there_is_unknown() -> None:
    async with serving() as registry, client(registry) as asked:
        with pytest.raises(SchemaUnknown, match=r"schema 9 is not in the schema registry http://"):
            await asked.schema(9)
        assert registry.asked == ["/schemas/ids/9"]


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_registry_in_trouble_is_away_after_three_tries(status: int) -> None:
    async with serving() as registry, client(registry) as asked:
        registry.status = status
        with pytest.raises(ProviderUnavailable, match=f"is away: HTTP {status}"):
            await asked.schema(1)
        assert len(registry.asked) == 3
        registry.status = None
        registry.put(1, LINE)
        assert orjson.loads((await asked.schema(1)).text) == LINE


async def test_nobody_at_the_address_is_away() -> None:
    clock = ManualClock()
    async with SchemaRegistry(RegistryAccess("http://127.0.0.1:1"), clock) as asked, asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(_failure(asked))
        while not asking.done():
            await clock.advance(1)
            await asyncio.sleep(0.01)
    assert isinstance(asking.result(), ProviderUnavailable)


async def _failure(asked: SchemaRegistry) -> Exception:
    try:
        await asked.schema(1)
    except ProviderUnavailable as error:
        return error
    raise AssertionError


@pytest.mark.parametrize("status", [401, 403])
async def test_wrong_credentials_are_the_operators(status: int) -> None:
    async with serving() as registry, client(registry) as asked:
        registry.status = status
        with pytest.raises(KeyRefused, match=r"username and password in kafka\.schema_registry"):
            await asked.schema(1)


@pytest.mark.parametrize("status", [200, 302, 404])
async def test_another_server_at_the_address_is_the_operators(status: int) -> None:
    async with serving() as registry, client(registry) as asked:
        registry.status = status
        with pytest.raises(AccountError, match=r"look at kafka\.schema_registry\.url"):
            await asked.schema(1)


async def test_it_says_who_it_is() -> None:
    async with serving() as registry:
        registry.put(1, LINE)
        async with SchemaRegistry(RegistryAccess(registry.url, "sluice", "s3cret"), Impatient()) as asked:
            await asked.schema(1)
        assert registry.authorization == "Basic c2x1aWNlOnMzY3JldA=="
    assert "s3cret" not in repr(RegistryAccess("http://r", "sluice", "s3cret"))


def test_what_is_registered_means_the_same_in_the_dialect_that_registries_compare() -> None:
    newer = ("prefixItems", "unevaluated", "dependentRequired", "dependentSchemas", "$dynamicRef", "minContains")
    texts = [orjson.dumps(schemas.json_schema(topic)).decode() for topic in OWNED if topic.value is not None]
    assert texts
    assert not [word for word in newer for text in texts if f'"{word}' in text]
