"""What the provider counts: tokens, cached prefixes, limits, faults."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.standin.faults import Fault, Faults, break_items
from local.standin.models import MODELS
from local.standin.prefix_cache import IDLE_SECONDS_MIN, REQUESTS_PER_MACHINE, TOKENS_STEP, PrefixCache
from local.standin.rate_limits import RateLimits, charged_tokens, duration
from local.standin.tokens import SPREAD, chunks, count
from topics.messages import Tokens

LINE = b"081109 203530 147 INFO dfs.DataNode$DataXceiver: Receiving block blk_4394112519745907149 src: /10.250.18.114"
PROSE = b"I would like to return the lamp that I bought from you in March because it flickers every evening"
PREFIX = PROSE * 60  # about 1,400 tokens


def test_prose_has_four_bytes_a_token_and_log_lines_about_two_and_a_half() -> None:
    assert count(PROSE) == pytest.approx(len(PROSE) / 4.1, rel=SPREAD + 0.05)
    assert count(LINE) == pytest.approx(len(LINE) / 2.5, rel=SPREAD + 0.1)
    assert count(b"") == 0


@given(st.binary(min_size=1, max_size=2_000))
def test_a_text_always_has_the_same_number_of_tokens(data: bytes) -> None:
    assert count(data) == count(bytes(data)) >= 1


class TestPrefixCache:
    def cached(self, cache: PrefixCache, *segments: bytes, now: float = 0.0, key: str = "k", model: str = "m") -> int:
        return cache.cached_tokens(model, key, chunks(list(segments)), now)

    def test_a_repeated_prefix_is_cached_in_steps(self) -> None:
        cache = PrefixCache()
        assert self.cached(cache, PREFIX, b"first question") == 0
        cached = self.cached(cache, PREFIX, b"another question")
        assert cached % TOKENS_STEP == 0
        assert count(PREFIX) - TOKENS_STEP < cached <= count(PREFIX)

    def test_a_prefix_is_exact_and_belongs_to_a_model_and_a_key(self) -> None:
        cache = PrefixCache()
        self.cached(cache, PREFIX)
        assert self.cached(cache, b"x" + PREFIX) == 0
        assert self.cached(cache, PREFIX, model="other") == 0
        assert self.cached(cache, PREFIX, key="other") == 0
        assert self.cached(cache, PREFIX) > 0

    def test_a_short_prefix_is_never_cached(self) -> None:
        cache = PrefixCache()
        assert self.cached(cache, PROSE * 20) == self.cached(cache, PROSE * 20) == 0

    def test_an_idle_prefix_is_forgotten_after_five_to_ten_minutes(self) -> None:
        cache = PrefixCache()
        self.cached(cache, PREFIX)
        assert self.cached(cache, PREFIX, now=IDLE_SECONDS_MIN - 1) > 0
        assert self.cached(cache, PREFIX, now=IDLE_SECONDS_MIN * 3.1) == 0

    def test_one_machine_takes_its_share_of_a_minute_and_the_next_is_cold(self) -> None:
        cache = PrefixCache()
        hits = [self.cached(cache, PREFIX, now=second) > 0 for second in range(2 * REQUESTS_PER_MACHINE)]
        cold = [0, REQUESTS_PER_MACHINE]
        assert [index for index, hit in enumerate(hits) if not hit] == cold


class TestRateLimits:
    def test_headers_tell_what_is_left_of_the_minute(self) -> None:
        limits = RateLimits("m", 60, 6_000, burst_s=60)
        assert limits.admit(100, now=0) is None
        assert limits.headers(now=0) == {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-limit-tokens": "6000",
            "x-ratelimit-remaining-tokens": "5900",
            "x-ratelimit-reset-tokens": "1s",
        }
        assert limits.headers(now=0.5)["x-ratelimit-remaining-tokens"] == "5950"

    def test_who_waits_as_told_gets_through(self) -> None:
        limits = RateLimits("m", 600, 1_000_000, burst_s=1)
        sent = [limits.admit(1, now=0) for _ in range(10)]
        assert sent == [None] * 10
        problem = limits.admit(1, now=0)
        assert problem is not None
        assert problem.status == 429
        assert problem.headers == {"retry-after": "1", "retry-after-ms": "100"}
        assert limits.admit(1, now=0.1001) is None

    def test_a_storm_of_refused_calls_does_not_push_the_end_away(self) -> None:
        limits = RateLimits("m", 600, 1_000_000, burst_s=1)
        for _ in range(500):
            limits.admit(1, now=0)
        assert limits.admit(1, now=0.2) is None

    def test_tokens_are_a_limit_of_their_own(self) -> None:
        limits = RateLimits("m", 6_000, 60_000, burst_s=1)
        assert limits.admit(900, now=0) is None
        problem = limits.admit(900, now=0)
        assert problem is not None
        assert problem.body()["error"]["type"] == "tokens"
        assert problem.body()["error"]["code"] == "rate_limit_exceeded"

    def test_what_is_larger_than_a_burst_goes_when_all_is_there(self) -> None:
        limits = RateLimits("m", 6_000, 60_000, burst_s=1)
        assert limits.admit(30_000, now=0) is None
        assert limits.admit(1_000, now=10) is not None
        assert limits.admit(1_000, now=30.1) is None

    def test_what_is_larger_than_the_limit_is_told_so(self) -> None:
        problem = RateLimits("m", 60, 6_000, burst_s=1).admit(6_001, now=0)
        assert problem is not None
        assert "Request too large" in str(problem)
        assert "retry-after" not in problem.headers

    @given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 2_000)), max_size=200))
    def test_no_more_is_admitted_than_the_limit_and_one_burst(self, calls: list[tuple[float, int]]) -> None:
        limits, now, admitted = RateLimits("m", 100_000, 60_000, burst_s=1), 0.0, 0
        for pause, tokens in calls:
            now += pause
            admitted += tokens if limits.admit(tokens, now) is None else 0
        assert admitted <= 1_000 * (now + 1) + 2_000

    def test_the_charge_is_the_larger_of_bound_and_estimate(self) -> None:
        assert charged_tokens(400, 50) == 100
        assert charged_tokens(400, 500) == 500
        assert charged_tokens(0, None) == 1

    @pytest.mark.parametrize(
        ("seconds", "text"), [(0, "0ms"), (0.25, "250ms"), (1, "1s"), (1.5, "1.5s"), (90, "1m30s"), (60, "1m0s")]
    )
    def test_durations_are_written_as_the_vendor_does(self, seconds: float, text: str) -> None:
        assert duration(seconds) == text


class TestFaults:
    def test_a_count_is_used_up(self) -> None:
        faults = Faults(0)
        faults.add(Fault(kind="reset", count=2))
        struck = [faults.strike("m") for _ in range(3)]
        assert [fault.kind if fault else None for fault in struck] == ["reset", "reset", None]

    def test_a_fault_of_one_model_spares_the_others(self) -> None:
        faults = Faults(0)
        faults.add(Fault(kind="reset", model="nano"))
        assert faults.strike("mini") is None
        assert faults.strike("nano") is not None
        faults.clear()
        assert faults.strike("nano") is None

    def test_a_probability_is_kept(self) -> None:
        faults = Faults(0)
        faults.add(Fault(kind="server_error", probability=0.2))
        assert sum(faults.strike("m") is not None for _ in range(2_000)) == pytest.approx(400, abs=80)

    def test_nonsense_is_refused_by_name(self) -> None:
        with pytest.raises(ValueError, match="'fire' is no fault: use one of timeout"):
            Fault(kind="fire")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="between 0 and 1"):
            Fault(kind="reset", probability=2)

    @pytest.mark.parametrize(
        ("kind", "ids"),
        [
            ("missing_item", ["a"]),
            ("extra_item", ["a", "b", "zz00"]),
            ("duplicate_item", ["a", "b", "b"]),
            ("invalid_item", ["a", "b"]),
        ],
    )
    def test_items_are_broken_as_asked(self, kind: str, ids: list[str]) -> None:
        value = break_items({"items": [{"id": "a", "label": "x"}, {"id": "b", "label": "x"}]}, kind)
        assert [item["id"] for item in value["items"]] == ids
        assert (value["items"][-1]["label"] == "x") == (kind != "invalid_item")


def test_a_call_costs_what_the_price_list_says() -> None:
    price = MODELS["gpt-5.4-nano"]
    tokens = Tokens(input=1_000_000, cached=500_000, output=100_000)
    assert price.price("default").usd_micros(tokens) == pytest.approx(100_000 + 10_000 + 125_000)
    assert price.price("flex").usd_micros(tokens) == pytest.approx(50_000 + 5_000 + 62_500)
