"""How many pages an hour has room for."""

from processors.notify.pages import Pages


def test_any_hour_has_room_for_so_many() -> None:
    pages = Pages(2)
    assert pages.has_room(1_000)
    for at_s in (1_000, 2_000):
        pages.note(at_s)
    assert not pages.has_room(4_599)
    assert pages.has_room(4_600)
    pages.note(4_600)
    assert not pages.has_room(5_599)


def test_it_does_not_matter_in_which_order_pages_are_noted() -> None:
    pages = Pages(2)
    for at_s in (9_000, 9_500, 100, 200):  # after a restart: partition by partition
        pages.note(at_s)
    assert not pages.has_room(10_000)
