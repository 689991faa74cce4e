"""What a policy that changes leaves of what was certified."""

import random

from processors.policy import Policy, Quality
from processors.quality.standing import UNPROVEN, Standing
from streams.judges import Judges
from tests.fakes import FakeNano, ManualClock
from tests.unit.triage.build import LABELS

CERTIFIED = Standing(free_version="m.s", audit_probability=0.01)


def policy(quality: Quality | None, deadline: str = "2s") -> Policy:
    logs = {"kind": "log", "topics": ["logs"], "labels": LABELS, "deadline": deadline}
    plain = Policy.model_validate({"streams": {"logs": logs}})
    return plain.model_copy(update={"streams": {"logs": plain.streams["logs"].model_copy(update={"quality": quality})}})


async def after(changed: Policy) -> Standing:
    judges = Judges(policy(Quality()), FakeNano(), clock=ManualClock(), rng=random.Random(1))
    judges.certify("logs", CERTIFIED)
    judges.adopt(changed)
    referee = judges.of("logs").referee
    assert referee is not None
    await judges.close()
    return referee.standing


async def test_under_another_claim_nothing_is_certified() -> None:
    assert await after(policy(Quality(max_disagreement=0.01))) == UNPROVEN
    assert await after(policy(Quality(confidence=0.99))) == UNPROVEN
    assert await after(policy(Quality(reference="flagship"))) == UNPROVEN


async def test_what_promises_the_same_stays_certified() -> None:
    assert await after(policy(Quality(), deadline="3s")) == CERTIFIED
    assert await after(policy(Quality(audit_usd_per_day=1.0))) == CERTIFIED
