"""What `sluice quality` states, beside what the reference says when it is asked about every message.

All parts are real but Kafka and the wire: samples of the project's own go through a worker's triage to the stand-in
with its usual errors, audits go to the trainer's state of the stream, and certificates come back as records. Time is
virtual, so a seed gives the same run anywhere. The reference is asked anew at the moment of each answer, in a call that
nothing else hears of: a model that drifts would say something else later.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local import pointing
from local.eval import views
from local.eval.sources import gold_file, load
from local.eval.views import Message
from local.eval.virtual import EPOCH_S, LocalGateway, LoopClock, VirtualLoop, service
from local.samples import jsonl
from local.samples.logs import logs
from local.samples.wording import read
from local.standin.error_profile import DEFAULT_PROFILE
from local.standin.settings import StandInSettings
from processors.batches import Batches
from processors.errors import AnswerError
from processors.items import Item
from processors.nano import Nano
from processors.policy import Policy, Quality
from processors.quality.report import Report, Share
from processors.quality.state import StreamQuality
from streams import settings
from streams.engine.kafka_records import KafkaRecord
from streams.judges import Judges
from streams.quality_records import certificate_record, report_of
from streams.shared import Standings
from streams.trainer_term import _certificate, _Learning
from tests.unit.eval.build import POLICY, SOURCES
from topics.messages import Means

PROMISED = Quality(reference="nano-single", max_disagreement=0.1)
AUDIT_MIN = 0.25  # of two thousand answers a log's own share would be four audits, and every interval 0 to 1
HOUR_S = 3_600.0  # between bursts: a proof needs a day of them


@dataclass(frozen=True)
class Published:
    """An answer below the reference."""

    at_ms: int
    by: Means
    differs: bool  # from what the reference says when it is asked anew


@dataclass(frozen=True)
class Run:
    report: Report
    published: Sequence[Published]

    def missed(self) -> Iterator[str]:
        """What is stated and is not so."""
        assert self.report.start is not None
        yield from _missed("since start", self.report.start.share, self.published)
        for means in self.report.means:
            yield from _missed(means.means, means.share, [one for one in self.published if one.by == means.means])
        for day in self.report.days:
            yield from _missed(day.period, day.share, [one for one in self.published if _day(one) == day.period])


def _day(one: Published) -> str:
    return datetime.fromtimestamp(one.at_ms / 1000, UTC).date().isoformat()


def _missed(what: str, stated: Share, published: Sequence[Published]) -> Iterator[str]:
    really = sum(one.differs for one in published) / len(published)
    told = f"{what}: {stated.low:.2%} to {stated.high:.2%} by {stated.audits} audits, {really:.2%} of {len(published)}"
    print(told)
    if not stated.low <= really <= stated.high:
        yield told


def run(folder: Path, seed: int, messages: int, burst: int, *, drift: str = "") -> Run:
    """`burst`: messages that come together, once an hour. `drift`: what becomes of nano half way, in place of the
    profile's own dated drift."""
    jsonl.write(logs(messages, random.Random(seed), read("world")), folder)
    (folder / "logs.shop.toml").write_text(POLICY)
    (folder / "sources.toml").write_text(SOURCES)
    file, spec = folder / "logs.jsonl", load(folder)["logs.shop"]
    policy = pointing.at_models(settings.load(folder / "logs.shop.toml"))
    policy = policy.model_copy(
        update={"streams": {"shop": policy.streams["shop"].model_copy(update={"quality": PROMISED})}}
    )
    errors = folder / "errors.toml"
    usual, _, _ = DEFAULT_PROFILE.read_text().partition("[[drift]]")
    half_way = datetime.fromtimestamp(EPOCH_S + messages / burst / 2 * HOUR_S, UTC).isoformat()
    errors.write_text(f'{usual}[[drift]]\nfrom = {half_way}\ntiers = ["nano"]\n{drift}' if drift else usual)
    standin = StandInSettings(gold=(gold_file(file, spec, None, folder / "gold.jsonl"),), seed=seed, errors=errors)
    source = views.read(file, spec, policy, limit=messages, rate=1.0).single.messages
    bursts = [source[:1], *(source[at : at + burst] for at in range(1, len(source), burst))]
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(_run(policy, standin, bursts, random.Random(seed)))
    finally:
        loop.close()


async def _run(
    policy: Policy, standin: StandInSettings, bursts: Sequence[Sequence[Message]], rng: random.Random
) -> Run:
    clock, stream = LoopClock(), policy.streams["shop"]
    judged = StreamQuality("shop", PROMISED, stream.version, audit_min=AUDIT_MIN)
    trainer = _Learning("shop", stream, judged, 0, rng.randbytes(32).hex())
    published: list[Published] = []
    async with LocalGateway(policy, service(standin), rng, lambda _: None) as gateway:
        worker = Judges(policy, gateway, clock=clock, rng=rng)
        standings = Standings(policy, clock, worker.certify)
        asked = Batches("shop", stream, Nano("shop", stream, gateway, rng, clock=clock), clock)
        triage = worker.of("shop")

        async def one(item: Item) -> None:
            at_ms = round(clock.time() * 1000)
            try:
                triaged = triage.free(item) or await triage.ask(item)
            except AnswerError:
                return  # a worker would ask again
            decision, audit = triaged.decision, triaged.audit
            if audit is not None:
                judged.fold(audit)
                below = audit.below
            else:  # nano's in the reference's place teaches; where the reference's own has no audit, it does not
                below = decision.decided_by in ("memory", "student") or triaged.lesson is not None
            if below:
                try:
                    says = (await asked.put(item, alone=True).answer()).verdict.label
                except AnswerError:
                    says = None
                published.append(Published(at_ms, decision.decided_by, says != decision.label))

        for number, burst in enumerate(bursts):
            async with asyncio.TaskGroup() as tasks:
                for message in burst:
                    tasks.create_task(one(message.item))
            now_ms = round(clock.time() * 1000)
            certificate = _certificate(trainer, judged.standing(now_ms), now_ms)
            standings.take([KafkaRecord("quality", 0, number, now_ms, *certificate_record(certificate), ())])
            await standings.settle()
            await clock.sleep(HOUR_S)
        await asked.close()
        await worker.close()
    return Run(report_of(certificate), published)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_stated_is_what_the_reference_says_of_every_message(tmp_path: Path) -> None:
    means: set[Means] = set()
    for seed in (1, 2, 3):
        (folder := tmp_path / str(seed)).mkdir()
        seen = run(folder, seed, messages=3_600, burst=60)
        assert not list(seen.missed()), f"seed {seed}"
        start = seen.report.start
        assert start is not None
        assert start.share.audits < 0.9 * len(seen.published), "the coin spares some"
        assert start.share.high - start.share.low < 0.1, "else it states nothing"
        means |= {each.means for each in seen.report.means}
    assert means == {"memory", "nano"}, "else the test says nothing of one"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_so_it_is_where_the_model_drifts_half_way_and_its_certificate_ends(tmp_path: Path) -> None:
    seen = run(tmp_path, 1, messages=3_000, burst=40, drift="error_factor = 6\nredrawn = 1.0")
    assert not list(seen.missed())
    told = [event.what for event in reversed(seen.report.events)]
    certified = next(number for number, what in enumerate(told) if "certified at" in what)
    assert any("audits since show more disagreement" in what for what in told[certified + 1 :])
    assert not seen.report.standing.batch_certified
    assert seen.report.start is not None
    assert not seen.report.start.holds
