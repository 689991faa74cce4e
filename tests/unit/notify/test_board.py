"""What is known of alerts."""

from processors.notify.board import Board
from tests.unit.notify.build import alert
from topics.limits import NOTIFY_ALERTS_MAX, NOTIFY_RESOLVED_SECONDS

HERE = ("alerts", 0)
THERE = ("alerts", 1)


def test_the_newest_revision_holds_whichever_comes_last() -> None:
    board = Board()
    for revision in (2, 3, 1):
        board.put(HERE, alert(revision=revision), 0)
    assert board.get(alert().id) == alert(revision=3)
    assert board.overtaken(alert(revision=2))
    assert not board.overtaken(alert(revision=3))


def test_of_the_same_labels_the_alert_that_started_last_is_the_one() -> None:
    board = Board()
    board.put(HERE, alert(2), 0)
    board.put(THERE, alert(1, status="resolved"), 0)
    assert [one.id for one in board.latest()] == [alert(2).id]
    assert board.succeeded(alert(1))
    assert not board.succeeded(alert(2))


def test_what_has_resolved_is_forgotten_after_a_while_and_what_fires_is_not() -> None:
    board = Board()
    board.put(HERE, alert(1), 0)
    board.put(HERE, alert(2, status="resolved", fingerprint="00000000000000bb"), 100)
    board.sweep(NOTIFY_RESOLVED_SECONDS + 99)
    assert {one.id for one in board.latest()} == {alert(1).id, alert(2).id}
    board.sweep(NOTIFY_RESOLVED_SECONDS + 100)
    assert [one.id for one in board.latest()] == [alert(1).id]


def test_another_workers_partition_and_an_erased_alert_are_forgotten() -> None:
    board = Board()
    for number, place in enumerate((HERE, HERE, THERE)):
        board.put(place, alert(number, fingerprint=f"{number:016x}"), 0)
    board.drop(alert(0).id)
    board.drop("unknown")
    board.forget(HERE)
    assert [one.id for one in board.latest()] == [alert(2).id]


def test_alerts_of_the_same_labels_are_forgotten_in_any_order() -> None:
    for order in ((1, 2), (2, 1)):
        board = Board()
        board.put(HERE, alert(1, status="resolved"), 0)
        board.put(HERE, alert(2), 0)
        for number in order:
            board.drop(alert(number).id)
        assert list(board.latest()) == []


def test_of_too_many_alerts_the_oldest_is_forgotten() -> None:
    board = Board()
    for number in range(NOTIFY_ALERTS_MAX + 1):
        board.put(HERE, alert(number, fingerprint=f"{number:016x}"), 0)
    assert board.get(alert(0).id) is None
    assert board.get(alert(1).id) is not None
