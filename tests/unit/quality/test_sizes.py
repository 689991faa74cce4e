"""How many messages may travel in a call, by the audits of batches of each size."""

import orjson

from processors.policy import Quality
from processors.quality.admission import Spread
from processors.quality.state import StreamQuality
from tests.unit.quality.audits import DAY_MS, START_MS, below, judged, shadow
from topics.limits import BATCH_MESSAGES_MAX, QUALITY_SIZE_AUDITS_MIN

QUALITY = Quality(reference="flagship", max_disagreement=0.05, confidence=0.95)


def state() -> StreamQuality:
    return StreamQuality("logs", QUALITY, "p1", spread=Spread(windows=0))


def shadowed(judge: StreamQuality, audits: int, size: int | None, wrong_every: int = 0) -> None:
    for n in range(audits):
        wrong = bool(wrong_every) and n % wrong_every == 0
        judge.fold(judged(START_MS + n, shadow(wrong, rule="batch", version="b", size=size)))


def size_max(judge: StreamQuality) -> int | None:
    return judge.standing(START_MS).batch_size_max


def test_without_audits_nothing_is_objected_to() -> None:
    judge = state()
    assert size_max(judge) is None
    shadowed(judge, 100, None)
    assert size_max(judge) is None


def test_on_trial_any_size_may_be_tried_until_it_disagrees() -> None:
    judge = state()
    shadowed(judge, 20, 8)
    assert not judge.standing(START_MS).batch_certified
    assert size_max(judge) is None
    shadowed(judge, 60, 17, wrong_every=3)
    assert size_max(judge) == 15


def test_what_is_certified_travels_in_no_larger_batch_than_was_audited() -> None:
    judge = state()
    shadowed(judge, 400, 6)
    shadowed(judge, QUALITY_SIZE_AUDITS_MIN - 1, 20)
    assert judge.standing(START_MS).batch_certified
    assert size_max(judge) == 6
    shadowed(judge, 1, 25)
    assert size_max(judge) == 25


def test_audits_of_published_batches_count_too() -> None:
    judge = state()
    shadowed(judge, 400, 16)
    assert size_max(judge) == 16
    for n in range(3_000):
        audit = below(START_MS + n, n % 12 == 0, rule="batch", version="b", decided_by="nano", probability=0.9, size=16)
        judge.fold(audit)
    assert size_max(judge) == 15, "they disagree in more than is allowed"


def test_one_message_is_never_objected_to() -> None:
    judge = state()
    shadowed(judge, 200, 1, wrong_every=2)
    assert size_max(judge) is None
    shadowed(judge, 200, 2, wrong_every=2)
    assert size_max(judge) == 1


def test_another_version_or_trial_has_its_own() -> None:
    judge = state()
    shadowed(judge, 400, 8)
    assert size_max(judge) == 8
    judge.fold(judged(START_MS + 3 * DAY_MS, shadow(rule="batch", version="b", size=32)))
    assert not judge.standing(START_MS + 3 * DAY_MS).batch_certified, "no audit came for too long"
    assert size_max(judge) is None


def test_sizes_are_kept_and_bounded() -> None:
    judge = state()
    for size in range(1, 100):
        shadowed(judge, 1, size)
    again = StreamQuality.load(orjson.loads(orjson.dumps(judge.dump())), QUALITY, "p1")
    assert again.dump() == judge.dump()
    (trial,) = judge.dump()["admissions"]["batch"]["trials"]
    assert [size for size, _, _ in trial["sizes"]] == [1, 2, 4, 8, 16, BATCH_MESSAGES_MAX]
