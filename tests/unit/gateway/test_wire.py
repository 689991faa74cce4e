"""Durations, prices, placeholders, and JSON amid prose."""

from datetime import date

import orjson
import pytest

from processors.errors import ConfigurationError
from processors.gateway.headers import duration_s, retry_after_s, told
from processors.gateway.prices import Price, price_of
from processors.gateway.wire import bare_json, read
from processors.placeholders import resolve
from processors.policy import TierSettings
from topics.messages import Tokens


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("6ms", 0.006),
        ("1s", 1),
        ("1.5s", 1.5),
        ("1m30s", 90),
        ("6m0s", 360),
        ("1h0m5s", 3605),
        ("1d2h", 93_600),
        ("12", 12),
        ("", None),
        ("soon", None),
        ("1m and more", None),
        ("-1s", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert duration_s(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "20"}, 0.02),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, 30),
        ({"retry-after": "Wed, 21 Oct 2020 07:28:00 GMT"}, 0),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "86400"}, 120),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, now_s=1_792_567_680.0) == seconds


@pytest.mark.parametrize("nonsense", ["", "-1", "many", "nan", "inf", "0"])
def test_a_limit_that_is_no_number_is_not_believed(nonsense: str) -> None:
    assert told({"x-ratelimit-limit-tokens": nonsense, "x-ratelimit-remaining-tokens": "5"}, "tokens") is None


def test_costs_are_rounded_to_the_micro_dollar_and_worst_cases_up() -> None:
    price = Price(0.20, 0.02, 1.25, date(2026, 11, 22))
    assert price.cost_micros(Tokens(input=1_000_000, cached=0, output=0)) == 200_000
    assert price.cost_micros(Tokens(input=100, cached=40, output=10)) == 25  # 25.3
    assert price.worst_micros(1, 0) == 1  # 0.2
    assert price.worst_micros(0, 4) == 5


def test_a_dated_snapshot_costs_what_its_family_costs() -> None:
    assert price_of("nano", TierSettings(model="gpt-5.4-nano-2026-03-17")).output == 1.25
    with pytest.raises(ConfigurationError, match="pico"):
        price_of("nano", TierSettings(model="gpt-5.4-pico"))


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("${A}/v1", "one/v1"),
        ("${A:-x}${B:-y}", "oney"),
        ("${EMPTY:-default}", "default"),
        ("${B:-}", ""),
    ],
)
def test_placeholders(text: str, filled: str) -> None:
    assert resolve(text, {"A": "one", "EMPTY": ""}, "some.key") == filled


@pytest.mark.parametrize("text", ["${B}", "${EMPTY}"])
def test_a_placeholder_without_a_value_names_the_key_and_the_variable(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"some\.key.*(B|EMPTY) is not set"):
        resolve(text, {"EMPTY": ""}, "some.key")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', '{"a": 1}'),
        (' \n{"a": 1}\n', '{"a": 1}'),
        ('```json\n{"a": {"b": 1}}\n```', '{"a": {"b": 1}}'),
        ('```\n{"a": 1}\n```\nDone.', '{"a": 1}'),
        ('Sure: {"a": {"b": "}"}} as asked', '{"a": {"b": "}"}}'),
        ('Like {"x": 1}, so {"a": {"b": 1}}.', '{"a": {"b": 1}}'),
        ('<think>{"not": "this"} hm</think>{"a": 1}', '{"a": 1}'),
        ("no object", "no object"),
        ('{"broken": ', '{"broken":'),
        ("{" * 10_000, "{" * 10_000),
    ],
)
def test_the_json_in_an_answer(text: str, found: str) -> None:
    assert bare_json(text) == found


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"null", b"[]", b"{}", b'{"choices":[]}', b'{"output":"text"}', b'{"output":[{}],"choices":[{}]}'],
)
def test_garbage_is_no_reply(body: bytes, api: str) -> None:
    assert read(body, "chat" if api == "chat" else "responses") is None


@pytest.mark.parametrize(
    ("said", "simulated"), [({"simulated": True}, True), ({"simulated": "yes"}, False), ({}, False)]
)
def test_an_answer_may_say_of_itself_that_no_model_gave_it(said: dict[str, object], simulated: bool) -> None:
    responses = read(orjson.dumps({"output": [], **said}), "responses")
    chat = read(orjson.dumps({"choices": [{"message": {"content": "text"}}], **said}), "chat")
    assert responses is not None
    assert chat is not None
    assert (responses.simulated, chat.simulated) == (simulated, simulated)
