"""How many output tokens a call may use."""

from processors.output_room import OutputRoom


def test_it_is_what_was_thought_at_first_until_answers_came_back() -> None:
    room = OutputRoom(100)
    assert room.tokens(10) == 16 + 1_000
    for _ in range(5):
        room.heard(10, 200, complete=True)
    assert room.tokens(10) == 16 + 300  # half as much again as the longest


def test_an_answer_that_was_cut_doubles_it_and_time_takes_it_back() -> None:
    room = OutputRoom(10)
    before = room.tokens(10)
    room.heard(10, before, complete=False)
    assert room.tokens(10) == 16 + 200
    for _ in range(10):
        room.heard(10, before, complete=False)
    assert room.tokens(10) == 16 + 800
    for _ in range(200):
        room.heard(10, 100, complete=True)
    assert room.tokens(10) == before


def test_the_longest_of_late_counts_and_is_forgotten() -> None:
    room = OutputRoom(100)
    for used in (200, 600, 200, 200):
        room.heard(10, used, complete=True)
    assert room.tokens(10) > 16 + 800
    for _ in range(200):
        room.heard(10, 200, complete=True)
    assert room.tokens(10) == 16 + 300


def test_one_alone_has_room_to_spare() -> None:
    assert OutputRoom(7).tokens(1) > 2 * 7 + 16


def test_messages_asked_alone_take_no_room_from_batches() -> None:
    room = OutputRoom(7)
    for _ in range(50):
        room.heard(1, 9, complete=True)
    assert room.tokens(17) >= 16 + 7 * 17
