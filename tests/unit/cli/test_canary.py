"""What is shown of a model that answers a share of the messages."""

import time
from dataclasses import asdict

import pytest

from processors.policy import Quality
from processors.quality.report import Report, VersionReport
from processors.quality.standing import OtherBatches, Standing
from processors.quality.state import StreamQuality
from streams.cli.orders import Known, day, stands
from streams.cli.quality import _tried
from streams.quality_records import Certificate, Order
from tests.unit.quality.audits import START_MS, judged, shadow
from topics.limits import CANARY_SECONDS, CANARY_SHARE

WANTED = Quality(reference="flagship", max_disagreement=0.02, confidence=0.95)
OLD, NEW = "gpt-5.4-nano", "gpt-6-luna"
DAY_MS = round(CANARY_SECONDS * 1000)


def known(standing: Standing, models: dict[str, str]) -> Known:
    """`models`: of the batches, by version."""
    one = Certificate(
        stream="logs", policy_version="p", standing=standing, report=reported(standing), state={}, offset=0, at_ms=0
    )
    return Known("logs", one, Order(stream="logs", candidate_model=NEW), (), models)


def reported(standing: Standing) -> dict[str, object]:
    judge = StreamQuality("logs", WANTED, "p")
    for version in ("b1", "b2"):
        judge.fold(judged(START_MS, shadow(rule="batch", version=version), policy_version="p"))
    report = asdict(judge.report(START_MS))
    for each in report["versions"]:
        each["certified"], each["coverage"] = True, 1.0
    return report | {"standing": asdict(standing)}


def shown(each: Known) -> dict[str, str]:
    """By version of the batches."""
    report = each.report
    assert isinstance(report, Report)
    versions: list[VersionReport] = [one for one in report.versions if one.rule == "batch"]
    return {one.version: stands(each, report, one) for one in versions}


def both(since_ms: int | None) -> Standing:
    return Standing(
        batch_certified=True,
        batch_version="b2",
        batch_certified_ms=since_ms,
        batch_others=(OtherBatches("b1", True, None, 1),),
        candidate_model=NEW,
    )


def test_in_its_canary_a_model_answers_a_tenth_and_the_one_before_it_the_rest() -> None:
    assert CANARY_SHARE == 0.1, "or other words"
    since_ms = round(time.time() * 1000) - DAY_MS // 2
    each, until = known(both(since_ms), {"b2": NEW, "b1": OLD}), day(since_ms + DAY_MS)
    assert shown(each) == {"b2": f"answers a tenth until {until}", "b1": "answers the rest"}
    assert _tried(each) == f"{NEW} answers a tenth in place of {OLD} until {until} UTC, then all"


@pytest.mark.parametrize("known_since", [True, False])
def test_after_it_and_where_nobody_said_since_when_it_answers_all(known_since: bool) -> None:
    since_ms = round(time.time() * 1000) - DAY_MS - 1 if known_since else None
    each = known(both(since_ms), {"b2": NEW, "b1": OLD})
    assert shown(each) == {"b2": "answers at 100%", "b1": "certified at 100%"}
    assert (_tried(each) or "").startswith(f"{NEW} answers in place of {OLD}: write ")


def test_the_policys_own_model_has_no_canary() -> None:
    each = known(both(round(time.time() * 1000)), {"b2": OLD})
    assert shown(each)["b2"] == "answers at 100%"
