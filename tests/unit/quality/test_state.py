"""What a stream's audits prove, through the state that the trainer keeps."""

import random
from dataclasses import asdict, replace
from typing import Any

import orjson
import pytest

from processors.policy import Quality
from processors.quality.admission import Spread
from processors.quality.standing import OtherBatches, Standing
from processors.quality.state import StreamQuality
from tests.unit.quality.audits import DAY_MS, HOUR_MS, START_MS, below, judged, shadow
from topics.limits import (
    QUALITY_AUDIT_PROBABILITY_MIN,
    QUALITY_EVENTS_MAX,
    QUALITY_SETTLE_SECONDS,
    QUALITY_VERSIONS_MAX,
)
from topics.messages import Audit

QUALITY = Quality(reference="flagship", max_disagreement=0.02, confidence=0.95)
MINUTE_MS = 60_000
SETTLE_MS = round(QUALITY_SETTLE_SECONDS * 1000)


def state(quality: Quality = QUALITY, **options: Any) -> StreamQuality:
    return StreamQuality("logs", quality, "p1", **options)


def prove(
    judge: StreamQuality,
    *,
    version: str = "v1",
    start_ms: int = START_MS,
    hours: int = 30,
    hourly: int = 60,
    seed: int = 1,
) -> int:
    """The reference answers, `version` in shadow agrees on sure answers. When it ended."""
    rng = random.Random(seed)
    for n in range(hours * hourly):
        at_ms = start_ms + n * HOUR_MS // hourly
        score = rng.random()
        judge.fold(judged(at_ms, shadow(score < 0.2 and rng.random() < 0.3, score, version=version)))
    return start_ms + hours * HOUR_MS


def proven(**options: Any) -> tuple[StreamQuality, int]:
    judge = state(**options)
    return judge, prove(judge)


def go_on(judge: StreamQuality, start_ms: int, hours: int, *, version: str = "v1", wrong: float = 0.0) -> int:
    """Answers of a certified version, ten audits an hour."""
    rng = random.Random(7)
    for n in range(hours * 10):
        probability = judge.standing(start_ms).audit_probability
        judge.fold(below(start_ms + n * HOUR_MS // 10, rng.random() < wrong, probability=probability, version=version))
    return start_ms + hours * HOUR_MS


def test_a_standing_says_how_much_surer_nano_is_than_right_and_keeps_it() -> None:
    judge = state()
    for n in range(400):
        wrong = n % 5 == 0
        judge.fold(replace(below(START_MS + n, wrong, probability=1.0, version="v1"), confidence=0.95))
    temperature = judge.standing(START_MS).temperature
    assert 1.5 < temperature < 3.0, "0.95 was 0.8"
    assert StreamQuality.load(judge.dump(), QUALITY, "p1").standing(START_MS).temperature == temperature


# --- standing ------------------------------------------------------------------------------------


def test_without_audits_nothing_may_be_answered_and_all_is_audited() -> None:
    assert state().standing(START_MS) == Standing()


def test_a_version_in_shadow_is_the_candidate_until_it_is_proven() -> None:
    judge = state()
    prove(judge, hours=2)
    standing = judge.standing(START_MS + 2 * HOUR_MS)
    assert standing == Standing(candidate="v1")


def test_a_proven_version_answers_from_its_threshold_on() -> None:
    judge, now_ms = proven()
    standing = judge.standing(now_ms)
    assert standing.free_version == "v1"
    assert 0.1 < standing.free_score_min < 0.75
    assert standing.batch_certified is False
    assert standing.audit_probability == QUALITY_AUDIT_PROBABILITY_MIN
    assert standing.expires_at_ms is not None
    assert now_ms < standing.expires_at_ms <= now_ms + DAY_MS


def test_the_older_version_answers_until_the_newer_is_proven() -> None:
    judge, now_ms = proven()
    judge.freeze("free", "v2", now_ms, [n / 100 for n in range(100)])
    standing = judge.standing(now_ms)
    assert (standing.free_version, standing.candidate) == ("v1", "v2")


def test_batches_prove_themselves_apart() -> None:
    judge = state()
    for n in range(30 * 40):
        judge.fold(judged(START_MS + n * HOUR_MS // 40, shadow(rule="batch", version="b1")))
    now_ms = START_MS + 30 * HOUR_MS
    standing = judge.standing(now_ms)
    assert (standing.batch_certified, standing.free_version) == (True, None)
    judge.fold(judged(now_ms, shadow(rule="batch", version="b2")))
    standing = judge.standing(now_ms)
    assert standing.batch_version == "b1", "what answers goes on until another has proven itself"
    assert standing.batch_others == (OtherBatches("b2", False, None),)


def batches(judge: StreamQuality, version: str, *, hours: int, start_ms: int, answers: str | None = None) -> int:
    """Audits of batches by `version`, in shadow of what answers, where that is another; when they end."""
    for n in range(hours * 40):
        at_ms, said = start_ms + n * HOUR_MS // 40, shadow(rule="batch", version=version)
        published = below(at_ms, rule="batch", version=answers or version, shadows=[said] if answers else [])
        probability = judge.standing(at_ms).audit_probability
        is_below = probability < 1  # until something is certified, the reference answers
        judge.fold(replace(published, probability=probability) if is_below else judged(at_ms, said))
    return start_ms + hours * HOUR_MS


def test_two_versions_of_the_batches_may_be_certified_and_each_worker_has_its_own() -> None:
    judge = state()
    judge.try_model("another")
    now_ms = batches(judge, "b1", hours=30, start_ms=START_MS)
    now_ms = batches(judge, "b2", hours=30, start_ms=now_ms, answers="b1")
    standing = judge.standing(now_ms)
    assert (standing.batch_version, standing.candidate_model) == ("b2", "another")
    assert standing.batch_others == (OtherBatches("b1", True, None, certified_ms(judge, "b1")),)
    assert standing.certified_batches == {each: certified_ms(judge, each) for each in ("b1", "b2")}
    assert now_ms - 10 * HOUR_MS < standing.certified_batches["b2"] < now_ms, "for its canary"
    numbers = {version: trial.number for version, trial in judge._admissions["batch"].trials.items()}
    assert numbers == {"b1": 1, "b2": 2}, "each has its own part of δ"
    loaded = StreamQuality.load(judge.dump(), judge._quality, "p1")
    assert loaded.standing(now_ms) == standing


def certified_ms(judge: StreamQuality, version: str) -> int:
    return judge._admissions["batch"].trials[version].certified_ms


def test_batches_that_are_certified_again_are_so_since_then() -> None:
    judge = state()
    now_ms = batches(judge, "b1", hours=30, start_ms=START_MS)
    first_ms = judge.standing(now_ms).batch_certified_ms
    assert first_ms is not None
    later_ms = batches(judge, "b1", hours=40, start_ms=now_ms + 2 * DAY_MS)  # it has expired meanwhile
    again_ms = judge.standing(later_ms).batch_certified_ms
    assert again_ms is not None
    assert first_ms < now_ms < now_ms + 2 * DAY_MS < again_ms


def test_a_version_that_is_given_up_leaves_the_certified_one_in_force() -> None:
    judge = state()
    now_ms = batches(judge, "b1", hours=30, start_ms=START_MS)
    judge.try_model("another")
    for n in range(30 * 40):
        worse = shadow(n % 3 == 0, rule="batch", version="b2")
        least = judge.standing(now_ms).audit_probability
        at_ms = now_ms + n * HOUR_MS // 40
        judge.fold(below(at_ms, rule="batch", version="b1", probability=least, shadows=[worse]))
    now_ms += 30 * HOUR_MS
    standing = judge.standing(now_ms)
    assert (standing.batch_version, standing.batch_given_up) == ("b1", ("b2",))
    [told] = [one.why for one in judge.report(now_ms).versions if one.version == "b2"]
    assert told.startswith("given up: ")


def test_batches_that_nobody_asks_any_more_do_not_end_what_others_may() -> None:
    judge = state()
    now_ms = batches(judge, "b1", hours=30, start_ms=START_MS)
    now_ms = batches(judge, "b2", hours=30, start_ms=now_ms, answers="b1")
    now_ms = batches(judge, "b2", hours=20, start_ms=now_ms)
    standing = judge.standing(now_ms)
    assert (standing.batch_version, standing.batch_others) == ("b2", ())
    assert standing.expires_at_ms is not None
    assert standing.expires_at_ms > now_ms + 23 * HOUR_MS


def test_a_certificate_ends_without_audits_by_the_clock_and_by_the_next_audit() -> None:
    judge, now_ms = proven()
    assert judge.standing(now_ms + DAY_MS + 1) == Standing(candidate="v1")
    judge.fold(judged(now_ms + DAY_MS + HOUR_MS, shadow()))
    assert judge.standing(now_ms + DAY_MS + HOUR_MS).free_version is None
    assert "no longer certified" in judge.report(now_ms).events[0].what


def test_audits_keep_a_certificate_alive() -> None:
    judge, now_ms = proven()
    now_ms = go_on(judge, now_ms, hours=100)
    assert judge.standing(now_ms).free_version == "v1"


def test_drift_revokes() -> None:
    judge, now_ms = proven()
    now_ms = go_on(judge, now_ms, hours=20)
    assert judge.standing(now_ms).free_version == "v1"
    now_ms = go_on(judge, now_ms, hours=10, wrong=0.4)
    standing = judge.standing(now_ms)
    assert standing.free_version is None
    assert standing.audit_probability == 1.0
    assert "more disagreement" in judge.report(now_ms).events[0].what


def test_an_answer_of_the_reference_that_failed_counts_as_a_disagreement() -> None:
    judge = state()
    failed = below(START_MS, probability=0.02)
    judge.fold(
        Audit(**{name: getattr(failed, name) for name in Audit.__dataclass_fields__} | {"reference_label": None})
    )
    report = judge.report(START_MS)
    assert report.start is not None
    assert report.start.share.disagreements == 1


def test_little_traffic_is_audited_more_often_so_that_certificates_live() -> None:
    judge = state()
    now_ms = prove(judge, hours=24 * 20, hourly=3)
    standing = judge.standing(now_ms)
    assert standing.free_version == "v1"
    assert standing.audit_probability == QUALITY_AUDIT_PROBABILITY_MIN * 16
    assert standing.audit_probability * 3 * 24 >= 10


def test_while_another_version_is_on_trial_audits_are_as_many_as_it_needs() -> None:
    judge = state()
    now_ms = prove(judge, hours=24 * 5, hourly=30)
    assert judge.standing(now_ms).free_version == "v1"
    alone = judge.standing(now_ms).audit_probability
    assert alone * 30 * 24 < 50, "they keep a certificate alive"
    judge.freeze("free", "v2", now_ms, [n / 100 for n in range(100)])
    judge.fold(below(now_ms, probability=alone, shadows=[shadow(version="v2")]))
    assert judge.standing(now_ms).audit_probability == 1.0, "of 720 messages a day"
    assert judge.standing(now_ms).untried_probability == alone
    for n in range(30 * 24 * 2):
        at_ms = now_ms + n * HOUR_MS // 30
        p = judge.standing(at_ms).audit_probability
        if n % round(1 / p) == 0:
            judge.fold(below(at_ms, probability=p, shadows=[shadow(version="v2")]))
    assert judge.standing(at_ms).free_version == "v2"
    assert judge.standing(at_ms).audit_probability == alone


def test_a_trial_of_batches_that_answer_nothing_wants_no_audits_of_what_memory_answers() -> None:
    judge = state()
    now_ms = prove(judge, hours=24 * 5, hourly=30)
    alone = judge.standing(now_ms).audit_probability
    judge.fold(judged(now_ms, shadow(rule="batch", version="b1")))
    assert not judge.on_trial
    assert judge.standing(now_ms).audit_probability == alone


def test_a_trial_of_what_seldom_has_an_answer_is_over_in_two_days_as_well() -> None:
    judge = state()
    now_ms = prove(judge, hours=24 * 5, hourly=30)
    alone = judge.standing(now_ms).audit_probability
    judge.fold(below(now_ms, probability=alone, shadows=[shadow(version="memory")]))
    assert judge.on_trial
    judge.fold(below(now_ms + 47 * HOUR_MS, probability=alone))
    assert judge.on_trial
    judge.fold(below(now_ms + 49 * HOUR_MS, probability=alone))
    assert not judge.on_trial


def test_on_a_quiet_stream_a_trial_goes_on_as_long_as_it_is_about_to_succeed() -> None:
    """Two days of 250 messages are too few for any version, and the few audits after them too."""
    good, good_ms = tried_on_a_quiet_stream(0.0)
    assert good.standing(good_ms).free_version == "v2"
    bad, bad_ms = tried_on_a_quiet_stream(0.05)
    assert bad.standing(bad_ms).free_version == "v1"
    assert not bad.on_trial, "it would take more than are waited for"
    assert bad.standing(bad_ms).audit_probability < 1


def tried_on_a_quiet_stream(wrong: float) -> tuple[StreamQuality, int]:
    """Five days of 250 messages with a second version in shadow."""
    judge = state()
    now_ms = prove(judge, hours=24 * 5, hourly=30)
    judge.freeze("free", "v2", now_ms, [n / 100 for n in range(100)])
    rng = random.Random(5)
    for n in range(250 * 5):
        at_ms = now_ms + n * DAY_MS // 250
        probability = judge.standing(at_ms).audit_probability
        if rng.random() < probability:
            tried = shadow(rng.random() < wrong, rng.random(), version="v2")
            judge.fold(below(at_ms, probability=probability, shadows=[tried]))
    return judge, at_ms


def test_who_answers_more_messages_answers_not_who_is_certified_for_all_of_the_few_it_knows() -> None:
    """As memory beside a student: it has an answer for each fourth message, and is right."""
    rng = random.Random(3)
    judge = state()
    for n in range(60 * 100):
        score = rng.random()
        memory = [shadow(False, 1.0, version="memory")] * (n % 4 == 0)
        student = [shadow(score < 0.5 and rng.random() < 0.1, score, version="student")] * (n > 800)
        judge.fold(judged(START_MS + n * HOUR_MS // 100, *memory, *student))
    now_ms = START_MS + 60 * HOUR_MS
    versions = {each.version: each for each in judge.report(now_ms).versions}
    assert versions["memory"].certified
    assert versions["student"].certified
    assert versions["student"].coverage < versions["memory"].coverage == 1.0
    assert "25% of messages" in versions["memory"].why
    assert judge.standing(now_ms).free_version == "student"
    again = StreamQuality.load(orjson.loads(orjson.dumps(judge.dump())), QUALITY, "p1")
    assert again.dump() == judge.dump()
    assert again.standing(now_ms) == judge.standing(now_ms)


def test_of_two_that_answer_about_as_much_the_newer_answers() -> None:
    rng = random.Random(5)
    judge = state()
    for n in range(30 * 60):
        score = rng.random()
        both = [shadow(False, score, version=version) for version in ("v1", "v2")]
        judge.fold(judged(START_MS + n * MINUTE_MS, *both))
    end_ms = START_MS + 30 * HOUR_MS
    assert {each.version for each in judge.report(end_ms).versions if each.certified} == {"v1", "v2"}
    assert judge.standing(end_ms).free_version == "v2"
    assert judge.certifies("v1")
    assert not judge.certifies("v3")


def test_a_trial_that_goes_on_is_not_forgotten_for_those_that_came_after_it() -> None:
    judge = state()
    for n in range(3 * QUALITY_VERSIONS_MAX):
        judge.fold(judged(START_MS + n * MINUTE_MS, shadow(version="memory"), shadow(version=f"s{n}")))
    versions = [each.version for each in judge.report(START_MS).versions if each.rule == "free"]
    assert len(versions) == QUALITY_VERSIONS_MAX
    assert "memory" in versions


def test_what_is_not_certified_in_two_days_waits() -> None:
    judge = state()
    now_ms = prove(judge, hours=24 * 5, hourly=30)
    judge.freeze("free", "v2", now_ms, [n / 100 for n in range(100)])
    told = []
    for n in range(30 * 24 * 4):
        at_ms = now_ms + n * HOUR_MS // 30
        told.append(p := judge.standing(at_ms).audit_probability)
        if n % round(1 / p) == 0:
            judge.fold(below(at_ms, probability=p, shadows=[shadow(n % 50 == 0, version="v2")]))
    assert told[30 * 24] == 1.0, "on its first day"
    assert told[-1] < 0.1


def test_others_audits_change_nothing() -> None:
    judge, now_ms = proven()
    before = judge.dump()
    judge.fold(below(now_ms, stream="mail"))
    judge.fold(below(now_ms, policy_version="p0"))
    judge.fold(judged(now_ms, shadow(), reference="mini"))
    assert judge.dump() == before


# --- orders --------------------------------------------------------------------------------------


def test_the_kill_switch_stops_all_that_is_below_the_reference() -> None:
    judge, now_ms = proven()
    judge.switch_off()
    assert judge.standing(now_ms) == Standing(candidate=judge.standing(now_ms).candidate)
    judge.switch_on()
    assert judge.standing(now_ms).free_version == "v1"


def test_a_pinned_version_alone_answers_while_it_is_certified() -> None:
    judge, now_ms = proven()
    judge.pin("v0")
    assert judge.standing(now_ms).free_version is None
    judge.pin("v1")
    assert judge.standing(now_ms).free_version == "v1"
    now_ms = prove(judge, version="v2", start_ms=now_ms, hours=1, hourly=600)
    assert judge.standing(now_ms).free_version == "v1"
    judge.release()
    assert judge.pinned is None
    with pytest.raises(ValueError, match="name"):
        judge.pin("")


def test_a_rollback_is_a_pin_of_a_version_whose_certificate_still_lives() -> None:
    judge, now_ms = proven(spread=Spread(windows=0))
    judge.freeze("free", "v2", now_ms, [1.0] * 100)
    for n in range(60_000):  # answers of v1, of which one in fifty is audited, and v2 in shadow
        if n % 50 == 0:
            judge.fold(below(now_ms + n * 1_000, probability=0.02, shadows=[shadow(score=1.0, version="v2")]))
    now_ms += 60_000_000
    assert judge.standing(now_ms).free_version == "v2"
    judge.pin("v1")
    assert judge.standing(now_ms).free_version == "v1"


# --- what counts how much ---------------------------------------------------------------------------


def levels(judge: StreamQuality, version: str) -> list[list[float]]:
    """The evidence of its widest level, by weight."""
    trials = judge.dump()["admissions"]["free"]["trials"]
    counts: list[list[float]] = next(trial["levels"][-1][2] for trial in trials if trial["version"] == version)
    return counts


def test_while_a_version_answers_every_message_counts_by_its_chance_of_an_audit() -> None:
    """One audit of an answer below stands for fifty messages, one of the reference's own for itself."""
    judge, now_ms = proven()
    judge.freeze("free", "v2", now_ms, [n / 100 for n in range(100)])
    judge.fold(below(now_ms, probability=0.02, shadows=[shadow(version="v2")]))
    judge.fold(judged(now_ms, shadow(version="v2")))
    assert levels(judge, "v2") == [[0.02, 1, 0], [1.0, 1, 0]]


def test_after_a_certificate_ends_workers_have_time_to_hear_of_it() -> None:
    judge, now_ms = proven()
    ended_ms = now_ms + DAY_MS + HOUR_MS
    judge.freeze("free", "v2", now_ms, [n / 100 for n in range(100)])
    judge.fold(judged(ended_ms, shadow(version="v2")))
    judge.fold(judged(ended_ms + SETTLE_MS - 1, shadow(version="v2")))
    judge.fold(judged(ended_ms + SETTLE_MS + MINUTE_MS, shadow(version="v2")))
    assert judge.standing(ended_ms + SETTLE_MS + MINUTE_MS).free_version is None
    assert levels(judge, "v2") == [[0.02, 2, 0], [1.0, 1, 0]]


def test_a_worker_that_still_goes_by_an_old_standing_lowers_the_weight_of_all() -> None:
    judge = state()
    judge.freeze("free", "v2", START_MS, [n / 100 for n in range(100)])
    judge.fold(below(START_MS, probability=0.02, version="v1"))
    judge.fold(judged(START_MS + 1, shadow(version="v2")))
    judge.fold(judged(START_MS + 2 * SETTLE_MS, shadow(version="v2")))
    assert levels(judge, "v2") == [[0.02, 1, 0], [1.0, 1, 0]]


def test_where_nano_in_batches_is_the_reference_memory_and_student_have_all_of_delta() -> None:
    two, one = state(), state(Quality(reference="nano"))
    two.fold(judged(START_MS, shadow()))
    one.fold(judged(START_MS, shadow(), reference="nano"))
    assert one.report(START_MS).versions[0].delta == pytest.approx(2 * two.report(START_MS).versions[0].delta)


# --- self-disagreement -----------------------------------------------------------------------------


def test_a_claim_below_the_references_own_disagreement_is_refused() -> None:
    judge, now_ms = proven()
    for n in range(400):
        judge.note_self(agrees=n % 17 != 0)
    assert judge.standing(now_ms).free_version is None
    report = judge.report(now_ms)
    assert report.refused is not None
    assert "disagreed with itself in 24 of 400 cases" in report.refused
    assert report.versions[0].why == report.refused
    assert not report.versions[0].certified


def test_a_steady_reference_refuses_nothing() -> None:
    judge, now_ms = proven()
    for n in range(2_000):
        judge.note_self(agrees=n % 100 != 0)
    assert judge.report(now_ms).refused is None
    assert judge.standing(now_ms).free_version == "v1"


def test_without_doubles_nothing_is_refused() -> None:
    assert state().report(START_MS).refused is None


# --- report ----------------------------------------------------------------------------------------


def test_the_report_says_what_is_certified_since_when_and_why() -> None:
    judge, now_ms = proven()
    now_ms = go_on(judge, now_ms, hours=40)
    report = judge.report(now_ms)
    orjson.dumps(asdict(report))
    version = report.versions[0]
    assert (version.version, version.certified, version.number) == ("v1", True, 1)
    assert START_MS < version.since_ms < now_ms
    assert version.why.startswith("certified")
    assert version.share.low <= (version.share.disagreement or 0.0) <= version.share.high
    assert report.start is not None
    assert (report.start.share.audits, report.start.holds) == (400, True)
    assert "proven" in report.start.why
    assert [each.period for each in report.days] == ["2024-10-06", "2024-10-05"]
    assert [each.means for each in report.means] == ["student"]


def test_the_report_tells_why_a_version_is_not_certified() -> None:
    judge = state(spread=Spread(windows=24))
    judge.fold(judged(START_MS, shadow()))
    assert "1 of the 100 audits that fix" in judge.report(START_MS).versions[0].why
    now_ms = prove(judge, hours=4, hourly=100)
    version = judge.report(now_ms).versions[0]
    assert "more" in version.why
    assert version.audits_needed
    prove(judge, start_ms=now_ms, hours=2, hourly=3_000)
    assert "windows of 24" in judge.report(now_ms).versions[0].why


# --- kept ------------------------------------------------------------------------------------------


def test_a_state_that_is_kept_and_read_again_goes_on_the_same() -> None:
    rng = random.Random(5)
    whole = state()
    kept = state()
    at_ms = START_MS
    for n in range(4_000):
        at_ms += rng.randrange(2 * MINUTE_MS)
        standing = whole.standing(at_ms)
        score = rng.random()
        wrong = score < 0.2 and rng.random() < 0.5
        drifted = n > 3_000 and rng.random() < 0.3
        if standing.free_version is not None and score >= standing.free_score_min:
            audit = below(at_ms, drifted, probability=standing.audit_probability, shadows=[shadow(drifted, score)])
        else:
            audit = judged(at_ms, shadow(wrong, score), shadow(rule="batch", version="b"))
        whole.fold(audit)
        kept.fold(audit)
        if n % 97 == 0:
            whole.note_self(agrees=True)
            kept.note_self(agrees=True)
            kept = StreamQuality.load(orjson.loads(orjson.dumps(kept.dump())), QUALITY, "p1")
    assert kept.dump() == whole.dump()
    assert kept.report(at_ms) == whole.report(at_ms)
    assert len(whole.report(at_ms).events) > 1, "there was something to keep"


def test_another_policy_begins_anew_but_for_the_switch_and_the_count_of_trials() -> None:
    judge, now_ms = proven()
    judge.switch_off()
    other = StreamQuality.load(judge.dump(), QUALITY, "p2")
    assert other.off
    other.switch_on()
    assert other.standing(now_ms) == Standing()
    other.fold(judged(now_ms, shadow(), policy_version="p2"))
    assert other.report(now_ms).versions[0].number == 2
    stricter = StreamQuality.load(judge.dump(), QUALITY.model_copy(update={"max_disagreement": 0.01}), "p1")
    stricter.switch_on()
    assert stricter.standing(now_ms) == Standing()


def test_the_least_probability_never_changes_while_a_state_lives() -> None:
    judge, now_ms = proven(audit_min=0.01)
    again = StreamQuality.load(judge.dump(), QUALITY, "p1", audit_min=0.5)
    assert again.standing(now_ms).audit_probability == 0.01
    elsewhere = QUALITY.model_copy(update={"reference": "mini"})
    other = StreamQuality.load(judge.dump(), elsewhere, "p1", audit_min=0.5)
    assert other.dump()["audit_min"] == 0.5, "another claim begins anew, with the share of its own reference"


def test_a_state_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format"):
        StreamQuality.load(state().dump() | {"format": 0}, QUALITY, "p1")


def test_the_state_is_bounded() -> None:
    judge = state(spread=Spread(windows=0))
    at_ms = START_MS
    for version in range(2 * QUALITY_VERSIONS_MAX):
        judge.freeze("free", f"v{version}", at_ms, [n / 100 for n in range(100)])
        for n in range(60):
            at_ms += HOUR_MS
            judge.fold(below(at_ms, n % 3 == 0, probability=0.02 + n / 100, shadows=[shadow(version=f"v{version}")]))
    dumped = judge.dump()
    assert len(dumped["admissions"]["free"]["trials"]) == QUALITY_VERSIONS_MAX
    assert len(dumped["events"]) <= QUALITY_EVENTS_MAX
    assert len(orjson.dumps(dumped)) < 500_000
