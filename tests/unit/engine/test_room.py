"""The bytes that the engines of one process may hold together."""

from streams.engine.room import Room


def test_engines_share_the_room_and_wait_until_half_of_it_is_free() -> None:
    room = Room(1_000)
    assert room.left("triage", 600)
    assert not room.left("mini", 400)
    assert not room.left("triage", 300)
    assert room.left("mini", 100)


def test_an_engine_that_holds_nothing_may_always_take_one_poll() -> None:
    room = Room(1_000)
    assert not room.left("triage", 5_000)
    assert room.left("mini", 0)
