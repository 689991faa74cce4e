"""How many travel together and how long they wait, as traffic, latency, limits and audits have it."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.batching import Controller
from topics.limits import BATCH_LINGER_SECONDS_MAX, BATCH_MESSAGES_MAX


class Traffic:
    """A stream whose calls cost `fixed` for themselves and `own` a message, and take `base_s` and `each_s`."""

    def __init__(
        self,
        controller: Controller,
        *,
        fixed: float = 80.0,
        own: float = 10.0,
        base_s: float = 0.2,
        each_s: float = 0.01,
        rate: float = 100.0,
    ) -> None:
        self.controller = controller
        self.fixed, self.own, self.base_s, self.each_s, self.rate = fixed, own, base_s, each_s, rate
        self.now_s = 0.0

    def run(self, calls: int) -> Iterator[int]:
        """The size after each of so many calls, all of them full."""
        for _ in range(calls):
            size = self.controller.size
            for _ in range(size):
                self.now_s += 1 / self.rate
                self.controller.arrived(self.now_s)
            whole = self.fixed + size * self.own
            self.controller.called(size, self.base_s + size * self.each_s, self.fixed / whole)
            yield self.controller.size


def settled(controller: Controller, calls: int = 300, **traffic: float) -> int:
    return list(Traffic(controller, **traffic).run(calls))[-1]


def test_short_messages_travel_in_large_batches_and_long_ones_in_small_ones() -> None:
    assert settled(Controller(900), own=10) == BATCH_MESSAGES_MAX
    assert settled(Controller(900), own=60) == 16
    assert settled(Controller(900), own=500) <= 4


def test_a_cheap_prefix_needs_less_company() -> None:
    assert settled(Controller(900), fixed=25, own=60) < settled(Controller(900), fixed=80, own=60)


def test_calls_that_take_too_much_of_the_deadline_get_smaller() -> None:
    assert 4 <= settled(Controller(2), each_s=0.1) <= 8, "and no smaller than they need to be"
    assert settled(Controller(900), each_s=0.1) == BATCH_MESSAGES_MAX


def test_what_calls_cost_and_take_never_changes_the_policys_size() -> None:
    controller = Controller(2, fixed=6)
    assert set(Traffic(controller, each_s=1.0).run(100)) == {6}


@pytest.mark.parametrize(("at_most", "size"), [(8, 8), (15, 15), (25, 25), (1, 1), (0, 1), (100, 32)])
def test_no_batch_is_larger_than_audits_allow(at_most: int, size: int) -> None:
    controller = Controller(900)
    assert settled(controller) == 32
    controller.at_most(at_most)
    assert controller.size <= size
    assert settled(controller) == size
    controller.at_most(None)
    assert settled(controller) == 32


def test_audits_bound_the_policys_size_too() -> None:
    controller = Controller(900, fixed=20)
    controller.at_most(7)
    assert settled(controller) == 7
    controller.at_most(30)
    assert settled(controller) == 20


def test_calls_that_left_early_say_nothing() -> None:
    controller = Controller(900)
    for _ in range(100):
        controller.called(1, 0.1, 0.9)
    assert controller.size == 16


@given(
    deadline_s=st.floats(0.5, 3_600),
    fixed=st.floats(0, 500),
    own=st.floats(1, 2_000),
    base_s=st.floats(0, 5),
    each_s=st.floats(0, 1),
    rate=st.floats(0.01, 2_000),
    at_most=st.none() | st.integers(1, BATCH_MESSAGES_MAX),
)
def test_under_steady_traffic_the_size_goes_one_way_and_stays(deadline_s, fixed, own, base_s, each_s, rate, at_most):
    """However the bounds lie: it never goes back on itself, which is what flapping is."""
    controller = Controller(deadline_s)
    controller.at_most(at_most)
    traffic = Traffic(controller, fixed=fixed, own=own, base_s=base_s, each_s=each_s, rate=rate)
    sizes = list(traffic.run(400))[100:]  # the latency and the rate have to be measured first
    steps = [later - earlier for earlier, later in itertools.pairwise(sizes) if later != earlier]
    assert all(step > 0 for step in steps) or all(step < 0 for step in steps)
    assert all(1 <= size <= BATCH_MESSAGES_MAX for size in sizes)


@given(
    st.lists(st.tuples(st.integers(1, 64), st.floats(0, 100), st.floats(0, 1)), max_size=200),
    st.integers(1, 64),
)
def test_whatever_is_measured_no_larger_size_is_used_than_audits_allow(calls, at_most):
    controller = Controller(5)
    controller.at_most(at_most)
    for messages, latency_s, share in calls:
        controller.called(messages, latency_s, share)
        assert 1 <= controller.size <= min(BATCH_MESSAGES_MAX, at_most)


def test_a_change_takes_eight_calls_that_agree() -> None:
    controller = Controller(900)
    for number in range(50):  # every eighth wants the opposite
        controller.called(16, 0.1, 0.01 if number % 8 == 7 else 0.5)
    assert controller.size == 16
    for _ in range(8):
        controller.called(16, 0.1, 0.5)
    assert controller.size == 32


@pytest.mark.parametrize(("deadline_s", "linger_s"), [(0.3, 0.015), (2.0, 2 / 3), (900.0, BATCH_LINGER_SECONDS_MAX)])
def test_the_linger_leaves_room_for_two_calls(deadline_s: float, linger_s: float) -> None:
    assert Controller(deadline_s).leaves_at_s(0.0, linger_s) == pytest.approx(linger_s)


def test_slow_calls_leave_less_time_to_wait() -> None:
    controller = Controller(5)
    for _ in range(100):
        controller.called(16, 1.8, 0.05)
    assert controller.leaves_at_s(0.0, 0.5) == pytest.approx(0.5, abs=0.01)


def test_nobody_waits_where_nobody_comes() -> None:
    controller = Controller(900)
    for number in range(20):
        controller.arrived(number * 600.0)
    assert controller.leaves_at_s(11_400.0, 11_400.0) == 11_400.0
    for number in range(100):
        controller.arrived(11_400.0 + number / 10)
    assert controller.leaves_at_s(11_410.0, 11_410.0) > 11_410.0


def test_a_batch_leaves_when_those_who_were_to_come_have_come() -> None:
    assert Controller(900).leaves_at_s(0.0, 0.1) == pytest.approx(2.6)


def test_the_rate_is_right_from_the_beginning() -> None:
    controller = Controller(900)
    for number in range(40):
        controller.arrived(number / 20)
    assert controller.rate(2.0) == pytest.approx(20, rel=0.1)
    for number in range(2_000):
        controller.arrived(2 + number / 20)
    assert controller.rate(102.0) == pytest.approx(20, rel=0.05)
    assert controller.rate(402.0) < 0.01
