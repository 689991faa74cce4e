"""What a student answers, how sure it says it is, and what it leaves to others."""

import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.student.lessons import Example
from processors.student.training import train
from tests.unit.student.build import COMMON, LABELS, OWN, lessons, student, text
from topics.limits import STUDENT_LESSONS_MAX, STUDENT_LESSONS_MIN


@pytest.mark.parametrize("labels", [LABELS[:2], LABELS])
def test_it_answers_what_it_was_taught(labels: tuple[str, ...]) -> None:
    rng = random.Random(9)
    for label in labels:
        for answer, score in student(labels).judge([text(rng, label) for _ in range(20)]):
            assert answer == label
            assert score > 0.9


def test_scores_are_chances() -> None:
    """Half of the texts carry their label's word; of the others nobody can know."""
    learned = student(count=3_000, clear=0.5)
    asked = lessons(3_000, seed=77, clear=0.5)
    judged = learned.judge([one.text for one in asked])
    right = np.array([label == one.label for (label, _), one in zip(judged, asked, strict=True)])
    scores = np.array([score for _, score in judged])
    assert (scores == 0).mean() < 0.05  # taken for novel
    for low, high in ((0.0, 1.01), (0.0, 0.6), (0.6, 1.01)):
        among = (scores > low) & (scores <= high)
        assert among.sum() > 500
        assert scores[among].mean() == pytest.approx(right[among].mean(), abs=0.05)


def test_what_is_unlike_all_lessons_has_no_score() -> None:
    """Also where one word of it tells a label."""
    strange = [
        "Überweisung des Kaufpreises bis Freitag",
        "panicked zyx wvu tsr qpo nml kji hgf edc",
        "漢字 だけ",
        "12 ? !",
    ]
    assert [score for _, score in student().judge(strange)] == [0.0] * 4


def test_what_is_much_longer_than_any_lesson_has_no_score() -> None:
    """Though it is made of what they are made of."""
    long = " ".join(one.text for one in lessons(20))
    assert student().judge([long])[0][1] == 0.0


def test_a_new_kind_among_known_words_is_less_certain() -> None:
    rng = random.Random(4)
    known = [text(rng, label) for label in LABELS for _ in range(50)]
    half_new = [" ".join([*one.split()[:4], "quasar", "nebula", "pulsar"]) for one in known]
    sure, unsure = ([score for _, score in student().judge(texts)] for texts in (known, half_new))
    assert np.mean(sure) > 0.9
    assert np.mean(unsure) < 0.5


def test_an_empty_text_has_no_score() -> None:
    assert [score for _, score in student().judge(["", " \n", "."])] == [0.0] * 3
    assert student().judge([]) == []


@given(st.lists(st.text(max_size=80) | st.sampled_from([one.text for one in lessons(50)]), max_size=12))
def test_a_batch_is_answered_as_its_texts_alone(texts: list[str]) -> None:
    learned = student()
    judged = learned.judge(texts)
    assert judged == [learned.judge([one])[0] for one in texts]
    assert all(label in LABELS and 0 <= score <= 1 for label, score in judged)


def test_the_same_lessons_and_seed_give_the_same_student() -> None:
    one, again, other = (train(LABELS, lessons(400), seed=seed) for seed in (5, 5, 6))
    assert one is not None
    assert again is not None
    assert other is not None
    assert one.version == again.version
    assert one.dump() == again.dump()
    assert one.version != other.version
    assert len(one.version) == 12
    assert int(one.version, 16) >= 0


def test_too_little_gives_none() -> None:
    enough = lessons(STUDENT_LESSONS_MIN)
    assert train(LABELS, enough, seed=1) is not None
    assert train(LABELS, enough[:-1], seed=1) is None
    assert train(LABELS, [Example(one.text, "routine") for one in enough], seed=1) is None
    assert train(LABELS, [], seed=1) is None
    rare = [Example(one.text, "alert" if number < 9 else "routine") for number, one in enumerate(enough)]
    assert train(LABELS, rare, seed=1) is None
    assert train(LABELS, [Example("", one.label) for one in enough], seed=1) is None


def test_labels_that_the_stream_does_not_have_teach_nothing() -> None:
    foreign = [Example(one.text, "gone") for one in lessons(300)]
    learned = train(LABELS[:2], [*lessons(400, labels=LABELS[:2]), *foreign], seed=1)
    alone = train(LABELS[:2], lessons(400, labels=LABELS[:2]), seed=1)
    assert learned is not None
    assert alone is not None
    assert learned.labels == LABELS[:2]
    assert learned.version == alone.version


def test_labels_without_lessons_are_never_answered() -> None:
    learned = train(LABELS, lessons(400, labels=LABELS[:2]), seed=1)
    assert learned is not None
    assert learned.labels == LABELS[:2]


def test_labels_met_once_break_nothing() -> None:
    """Wherever the one lesson stands: in the fold that is left out, or among those that are learned from."""
    for at in (0, 200, 399):
        taught = lessons(400, labels=LABELS[:2])
        taught[at] = Example("polling idle once", "noise")
        learned = train(LABELS, taught, seed=1)
        assert learned is not None
        assert learned.labels == LABELS
        assert learned.judge([taught[(at + 7) % 400].text])[0][0] == taught[(at + 7) % 400].label


def test_labels_that_come_one_after_the_other_break_nothing() -> None:
    """Some folds then have one label only, and the last one has none that the others had."""
    taught = sorted(lessons(400), key=lambda one: one.label)
    learned = train(LABELS, taught, seed=1)
    assert learned is not None
    assert set(learned.labels) == set(LABELS)
    two = train(LABELS, [one for one in taught if one.label != "noise"][-300:], seed=1)
    assert two is not None


def test_empty_lessons_break_nothing() -> None:
    """Whole folds of them."""
    taught = lessons(400)
    hollow = [Example("", one.label) if number < 330 else one for number, one in enumerate(taught)]
    learned = train(LABELS, hollow, seed=1)
    assert learned is not None
    assert learned.judge([""])[0][1] == 0.0


def test_weight_outvotes_numbers() -> None:
    """Nano said one thing thrice, the reference once another."""
    rng = random.Random(2)
    contested = [" ".join([*rng.choices(COMMON, k=4), "contested"]) for _ in range(160)]
    cheap = [Example(one, "routine") for one in contested[:120]]
    answers = {}
    for weight in (1.0, 20.0):
        dear = [Example(one, "alert", weight) for one in contested[120:]]
        mixed = [*lessons(400), *cheap, *dear]
        rng.shuffle(mixed)
        learned = train(LABELS, mixed, seed=1)
        assert learned is not None
        answers[weight] = learned.judge([" ".join([*COMMON[:4], "contested"])])[0][0]
    assert answers == {1.0: "routine", 20.0: "alert"}


def test_a_slip_of_the_pen_is_forgiven_where_pieces_of_words_help() -> None:
    rng = random.Random(3)

    def slipped(label: str) -> str:
        word = rng.choice(OWN[label])
        at = rng.choice([0, len(word) - 1])
        return " ".join(
            [*rng.choices(COMMON, k=2), word[:at] + rng.choice("qxzwvjk") + rng.choice("qxzwvjk") + word[at + 1 :]]
        )

    taught = [Example(slipped(label), label) for label in rng.choices(LABELS, k=600)]
    learned = train(LABELS, taught, seed=1)
    assert learned is not None
    assert [learned.judge(["server panicyed line"])[0][0], learned.judge(["server oheartbeatt line"])[0][0]] == [
        "alert",
        "noise",
    ]


def test_only_the_newest_lessons_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert STUDENT_LESSONS_MAX > STUDENT_LESSONS_MIN
    monkeypatch.setattr("processors.student.training.STUDENT_LESSONS_MAX", 300)
    kept, older = lessons(300), lessons(500, seed=8, labels=("noise",))
    one, other = train(LABELS, [*older, *kept], seed=1), train(LABELS, kept, seed=1)
    assert one is not None
    assert other is not None
    assert one.version == other.version


def test_judging_does_not_load_what_training_needs() -> None:
    """Workers judge; scikit-learn costs a second and tens of megabytes."""
    program = (
        "import sys; import processors.student.student, processors.student.training, processors.student.proposer; "
        "print([name for name in ('sklearn', 'scipy') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
