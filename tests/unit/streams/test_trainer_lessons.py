"""What a student learns from is bounded, and what is rare is not crowded out; when it is time for another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.trainer_lessons import Course, Lesson, Lessons
from topics import limits

LABELS = ("alert", "routine")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STUDENT_LESSONS_MAX", 10)


def test_the_reference_outweighs_a_model_and_a_person_outweighs_both() -> None:
    lessons = Lessons(LABELS)
    assert lessons.lesson("1", "disk", "routine")
    assert lessons.audit("1", "disk", "alert")
    assert not lessons.lesson("1", "disk", "routine")
    assert lessons.correction("1", None, "routine")
    assert not lessons.audit("1", "disk", "alert")
    assert [(each.text, each.label) for each in lessons.all()] == [("disk", "routine")]


def test_an_agent_outweighs_nano_and_not_the_reference_about_what_is_known() -> None:
    lessons = Lessons(LABELS)
    assert not lessons.review("1", "alert")
    assert lessons.lesson("1", "disk", "routine")
    assert lessons.review("1", "alert")
    assert not lessons.lesson("1", "disk", "routine")
    assert lessons.audit("1", "disk", "routine")
    assert not lessons.review("1", "alert")
    assert [(each.text, each.label) for each in lessons.all()] == [("disk", "routine")]


def test_what_is_heard_twice_counts_once() -> None:
    lessons = Lessons(LABELS)
    assert [lessons.audit("1", "disk", "alert") for _ in range(2)] == [True, False]
    assert len(lessons) == 1


def test_labels_that_the_stream_does_not_have_and_corrections_of_unknown_messages_are_passed_over() -> None:
    lessons = Lessons(LABELS)
    assert not lessons.lesson("1", "disk", "party")
    assert not lessons.correction("2", None, "alert")
    assert lessons.correction("2", "with its text", "alert")
    assert len(lessons) == 1


@pytest.mark.usefixtures("few")
def test_the_oldest_of_the_most_frequent_label_goes_first() -> None:
    lessons = Lessons(LABELS)
    for number in range(3):
        lessons.audit(f"rare{number}", "disk", "alert")
    for number in range(100):
        lessons.audit(str(number), "well", "routine")
    assert [each.label for each in lessons.all()] == ["alert"] * 3 + ["routine"] * 7
    assert lessons.labels == 2


def test_long_texts_are_cut_and_all_together_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LESSONS_CHARS_MAX", 3 * limits.LESSON_CHARS_MAX)
    lessons = Lessons(LABELS)
    for number in range(9):
        lessons.lesson(str(number), "x" * 2 * limits.LESSON_CHARS_MAX, "alert")
    assert [len(each.text) for each in lessons.all()] == [limits.LESSON_CHARS_MAX] * 3


def test_other_labels_take_their_lessons_with_them() -> None:
    lessons = Lessons(LABELS)
    lessons.audit("1", "disk", "alert")
    lessons.audit("2", "well", "routine")
    lessons.adopt(("routine", "delay"))
    assert [each.label for each in lessons.all()] == ["routine"]
    assert lessons.lesson("3", "slow", "delay")


OPERATIONS = st.tuples(
    st.sampled_from(("lesson", "audit", "correction")),
    st.integers(0, 15).map(str),
    st.text(max_size=4),
    st.sampled_from((*LABELS, "none")),
)


@given(st.lists(OPERATIONS, max_size=60))
def test_its_parts_agree_whatever_is_heard(heard: list[tuple[str, str, str, str]]) -> None:
    lessons = Lessons(LABELS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "STUDENT_LESSONS_MAX", 5)
        patch.setattr(limits, "LESSONS_CHARS_MAX", 12)
        known: set[str] = set()
        for kind, id_, text, label in heard:
            is_new = getattr(lessons, kind)(id_, text, label)
            known |= {id_} if is_new else set()
            kept = lessons.all()
            assert len(kept) == len(lessons) <= min(5, len(known))
            assert sum(len(each.text) for each in kept) == lessons._chars <= 12
            assert all(isinstance(each, Lesson) and each.label in LABELS for each in kept)


def test_a_stream_is_taught_whenever_its_labels_have_doubled() -> None:
    course, taught = Course(), []
    for now_s in range(1, 150_000):
        course.new += 1
        if course.due(now_s * 100, revoked=False):
            course.begin(now_s * 100)
            course.learned(course.known)
            taught.append(course.taught)
    first, most = limits.STUDENT_LESSONS_MIN, limits.STUDENT_LESSONS_MAX
    assert taught[:4] == [first, 2 * first, 4 * first, 8 * first]
    assert {later - earlier for earlier, later in zip(taught[-3:], taught[-2:], strict=False)} == {most}


def test_not_before_a_while_has_passed() -> None:
    course = Course()
    course.new = 10 * limits.STUDENT_LESSONS_MIN
    course.begin(0)
    assert not course.due(limits.STUDENT_INTERVAL_SECONDS - 1, revoked=False)
    assert course.due(limits.STUDENT_INTERVAL_SECONDS, revoked=False)
    course.failed(0)
    assert not course.due(limits.STUDENT_RETRY_SECONDS - 1, revoked=False)
    assert course.due(limits.STUDENT_RETRY_SECONDS, revoked=False)


def test_who_knows_all_that_is_kept_is_followed_by_no_other_while_it_is_tried() -> None:
    young, old = Course(taught=limits.STUDENT_LESSONS_MAX - 1), Course(taught=limits.STUDENT_LESSONS_MAX)
    young.new = old.new = 10 * limits.STUDENT_LESSONS_MAX
    assert young.due(0, revoked=False, on_trial=True), "the next one knows much more"
    assert not old.due(0, revoked=False, on_trial=True)
    assert old.due(0, revoked=False, on_trial=False)
    assert old.due(0, revoked=True, on_trial=True), "what was certified is wrong by now"


def test_after_a_revocation_a_little_is_enough() -> None:
    course = Course(taught=20_000)
    course.new = limits.STUDENT_LESSONS_MIN
    assert not course.due(0, revoked=False)
    assert course.due(0, revoked=True)


def test_what_came_while_it_was_taught_counts_for_the_next() -> None:
    course = Course(taught=100)
    course.new = 100
    labels = course.known
    course.new += 30
    course.learned(labels)
    assert (course.taught, course.new) == (200, 30)
