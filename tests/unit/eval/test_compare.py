"""Labelled messages through every way of deciding them: what each costs, and how good it is."""

import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import orjson
import pytest
from click.testing import CliRunner

from local import pointing
from local.eval import compare, front, plain, tables
from local.eval.command import evaluate
from local.eval.compare import RUNNING_SHARE_MIN, Compared, Terms
from local.eval.sources import SourceSpec
from local.eval.variants import BASELINE, LADDER, Decided, Setting, Variant
from local.eval.virtual import EPOCH_S, LocalGateway, LoopClock, VirtualLoop, service
from local.standin.settings import StandInSettings
from local.standin.tokens import count
from processors.gateway.prices import BUILT_IN
from processors.items import Item
from processors.policy import Policy, Session
from streams.settings import Runtime
from tests.unit.eval.build import source
from tests.unit.eval.test_views import SPEC, blocks, policy
from tests.unit.triage.build import item
from topics.limits import SESSION_VOTES_MAX, SESSION_VOTES_MIN
from topics.messages import Spend

T = TypeVar("T")
TERMS = Terms(epsilons=(0.2,), limit=260)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SourceSpec, Policy]:
    return source(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def compared(shop: tuple[Path, SourceSpec, Policy]) -> Compared:
    return compare.compare(*shop, TERMS, lambda _: None)


def virtually(work: Callable[[], Awaitable[T]]) -> T:
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work())  # type: ignore[arg-type]
    finally:
        loop.close()


def test_an_hour_passes_at_once() -> None:
    async def work() -> tuple[float, float]:
        clock = LoopClock()
        began_s = clock.monotonic()
        await clock.sleep(3_600)
        return clock.monotonic() - began_s, clock.time()

    passed_s, now_s = virtually(work)
    assert passed_s == pytest.approx(3_600)
    assert now_s == pytest.approx(EPOCH_S + 3_600, abs=1)


def test_the_floor_by_hand() -> None:
    assert plain.floor_usd("a", BUILT_IN["gpt-5.4-nano"]) == pytest.approx((1 * 0.20 + 5 * 1.25) / 1e6)
    text = "kernel: EXT4-fs error (device sda1): aborted journal"
    expected = (count(text.encode()) * 2.50 + 5 * 15.00) / 1e6
    assert plain.floor_usd(text, BUILT_IN["gpt-5.4"]) == pytest.approx(expected)


def test_a_plain_call_by_hand(shop: tuple[Path, SourceSpec, Policy]) -> None:
    """Its instructions and the text, nothing else, at nano's price."""
    policy = pointing.at_models(shop[2])
    spent: list[Spend] = []
    text = "database is down: no space left on device"

    async def work() -> str:
        standin = service(StandInSettings(seed=1))
        async with LocalGateway(policy, standin, random.Random(1), spent.append) as gateway:
            asking = plain.Plain("shop", policy.streams["shop"], "nano", gateway)
            return (await asking.ask(item(text))).label

    assert virtually(work) in policy.streams["shop"].labels
    [spend] = spent
    instructions = plain.instructions("shop", policy.streams["shop"])
    assert spend.tokens.input == pytest.approx(count(instructions.encode()) + count(text.encode()), abs=1)
    assert spend.tokens.cached == 0
    assert 12 <= spend.tokens.output <= 30  # {"label":"outage","confidence":0.97,"priority":10}
    assert spend.usd_micros == pytest.approx(spend.tokens.input * 0.20 + spend.tokens.output * 1.25, abs=0.5)


def test_the_plain_words_are_the_policys_own(shop: tuple[Path, SourceSpec, Policy]) -> None:
    told = plain.instructions("shop", shop[2].streams["shop"])
    for name, label in shop[2].streams["shop"].labels.items():
        assert f"- {name}: {label.means}\n" in told
    assert len(told) < 500, "no padding"


def test_every_way_is_there_and_every_message_is_decided(compared: Compared) -> None:
    ladder = [variant.name for variant in LADDER if variant.judges != "sessions only"]
    assert [row.variant for row in compared.rows] == ladder
    assert compared.messages == 260
    for row in compared.rows:
        assert row.unanswered == 0
        assert sum(row.decided_by.values()) == pytest.approx(1)
        assert row.usd_per_million > 0
        assert row.latency_ms_p50 <= row.latency_ms_p99
        assert row.difference.low <= row.difference.high


def test_the_baseline_is_compared_with_itself(compared: Compared) -> None:
    baseline = next(row for row in compared.rows if row.variant == "nano, one a call")
    assert (baseline.saving, baseline.difference.low, baseline.difference.high) == (1, 0, 0)
    assert baseline.disagreement["nano-single"].messages == 260
    assert baseline.calls == 260


def test_larger_models_cost_what_their_prices_say(compared: Compared) -> None:
    """The same prompt and answers nearly as long: the ratio is that of the price lists, between input and output."""
    by_name = {row.variant: row.usd_per_million for row in compared.rows}
    assert by_name["mini for all"] / by_name["nano, one a call"] == pytest.approx(3.7, abs=0.1)
    assert by_name["flagship for all"] / by_name["nano, one a call"] == pytest.approx(12.3, abs=0.4)


def test_many_in_a_call_and_memory_cost_less_than_one_a_call(compared: Compared) -> None:
    by_name = {row.variant: row for row in compared.rows}
    assert by_name["nano, batched"].saving > 2
    assert by_name["+ exact memory"].calls <= by_name["+ second votes"].calls
    floors = {row.floor_usd_per_million for row in compared.rows if row.running_share == 1}
    assert len(floors) == 2, "one of each price: realtime, and half of it"
    assert max(floors) == pytest.approx(2 * min(floors))


def test_the_same_seed_gives_the_same_figures_and_another_others(shop: tuple[Path, SourceSpec, Policy]) -> None:
    first, again, other = (
        orjson.dumps(compare.compare(*shop, Terms(limit=50, seed=seed), lambda _: None).rows) for seed in (7, 7, 8)
    )
    assert first == again
    assert first != other


def test_sessions_are_asked_about_as_a_worker_asks_about_them(tmp_path: Path) -> None:
    """Of one kind, as long as its answers do not suffice for a vote; then memory answers."""
    file = blocks(tmp_path, [(f"b{number}", 40 * number) for number in range(60)])
    given = policy(Session(key=r"blk_(\w+)", idle="30s"))
    found = compare.compare(file, SPEC, given, Terms(rate=0.2), lambda _: None)
    row = next(row for row in found.rows if row.variant == "+ exact memory")
    asked = row.decided_by["nano"] * 60
    assert SESSION_VOTES_MIN <= round(asked) <= SESSION_VOTES_MAX
    assert row.decided_by["memory"] * 60 + asked == pytest.approx(60)


def test_what_a_trial_costs_is_no_part_of_the_running_price(compared: Compared) -> None:
    for row in compared.rows:
        if row.reference is not None:
            assert (row.admission_usd is None) == (row.running_share < RUNNING_SHARE_MIN)
        else:
            assert row.running_share == 1


def test_what_runs_is_compared_with_what_the_same_messages_cost_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source's messages may become longer: that is no merit or fault of what is certified by then."""
    monkeypatch.setattr(compare, "LADDER", (BASELINE, Variant(name="late", start=Late)))
    long = "block " + "blk_7 received " * 200
    file = blocks(tmp_path, [(long if number < 10 else "b", number) for number in range(20)])
    spec, given = replace(SPEC, unit="message"), policy(None)
    baseline, late = compare.compare(file, spec, given, Terms(rate=0.2), lambda _: None).rows
    assert baseline.running_share == 1
    assert late.running_share == 0.5
    assert late.saving == pytest.approx(1, rel=0.05), "each is a plain call"
    assert late.usd_per_million < baseline.usd_per_million / 2
    assert late.floor_usd_per_million < baseline.floor_usd_per_million / 2


class Late:
    """One plain call a message, certified after ten of them."""

    proof = ""

    def __init__(self, setting: Setting) -> None:
        self._plainly = BASELINE.start(setting)
        self._decided = 0

    @property
    def certified(self) -> str:
        return "all" if self._decided >= 10 else ""

    async def decide(self, item: Item) -> Decided:
        decided = await self._plainly.decide(item)
        self._decided += 1
        return decided

    async def close(self) -> None:
        await self._plainly.close()


def test_what_cannot_be_proven_is_said_with_figures(compared: Compared) -> None:
    own = compared.own["nano-single"]
    told = list(tables.headings(compared, "nano-single", (own.interval.low / 3, 0.4)))[-1]
    assert f"{own.share:.1%}" in told
    assert f"at {own.interval.low / 3:.1%} nothing can stand for it" in told
    assert "40.0%" not in told


def test_the_front_is_what_nothing_beats(compared: Compared) -> None:
    best = front.front(compared.rows)
    assert [row.usd_per_million for row in best] == sorted(row.usd_per_million for row in best)
    for row in compared.rows:
        assert any(kept.usd_per_million <= row.usd_per_million and kept.figure >= row.figure for kept in best)


def test_the_command_saves_figures_tables_and_picture(shop: tuple[Path, SourceSpec, Policy], tmp_path: Path) -> None:
    folder = str(shop[0].parent)
    options = ["--policies", folder, "--compare", "--limit", "30", "--epsilon", "0.2", "--save", str(tmp_path)]
    done = CliRunner().invoke(evaluate, [folder, *options], obj=Runtime(), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "simulated" in done.output.lower()
    saved = orjson.loads((tmp_path / "compare.json").read_bytes())
    assert saved["simulated"] is True
    assert [each["source"] for each in saved["results"]] == ["logs.shop"]
    assert math.isfinite(saved["results"][0]["rows"][0]["usd_per_million"])
    told = (tmp_path / "compare.md").read_text()
    assert "| nano, batched |" in told
    assert "| logs.shop | 30 |" in told, "the summary has a line for the source"
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")
