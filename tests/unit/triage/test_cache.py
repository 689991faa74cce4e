"""What is used stays, what is not goes, and there is never too much."""

from processors.cache import Cache


def test_what_was_put_is_found() -> None:
    cache: Cache[str, int] = Cache(4)
    cache.put("a", 1)
    assert cache.get("a") == 1
    assert cache.get("b") is None


def test_half_of_the_bound_is_kept_for_certain_and_never_more_than_the_bound() -> None:
    cache: Cache[int, str] = Cache(100)
    for n in range(1_000):
        cache.put(n, "x")
        assert all(cache.get(kept) for kept in range(max(0, n - 20), n + 1))
        assert cache.get(0) or n > 50
    assert sum(cache.get(n) is not None for n in range(1_000)) <= 100


def test_what_is_looked_up_stays() -> None:
    cache: Cache[int, str] = Cache(10)
    for n in range(1_000):
        cache.put(n, "x")
        assert cache.get(0) == "x"
