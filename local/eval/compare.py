"""`sluice eval --compare`: each labelled source through every way of deciding it; what each costs and how good it is.

Without Kafka, on virtual time (local/eval/virtual.py): messages arrive in the source's order at a steady rate, many are
under way at once, and none is learned from before it was decided and scored. All ways of deciding a source ask the same
stand-in, each with a gateway of its own; a model that is asked again about a text answers anew, as models do.
"""

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from local import pointing
from local.collect import quantile
from local.eval import intervals, views
from local.eval.intervals import Interval
from local.eval.plain import floor_usd
from local.eval.score import Judged, Score, score
from local.eval.sources import SourceSpec, gold_file
from local.eval.variants import BASELINE, LADDER, SESSIONS, Decided, Running, Setting, Variant, plain
from local.eval.views import Message, Source, View
from local.eval.virtual import LocalGateway, LoopClock, VirtualLoop
from local.standin.error_profile import DEFAULT_PROFILE
from local.standin.models import MODELS
from local.standin.service import Service
from local.standin.settings import StandInSettings
from processors.gateway.prices import Price, price_of
from processors.policy import Policy, Quality, Stream
from topics.messages import Lane, Reference, Spend, Tier

RECORDS_MAX = 20_000  # of a source: with them all variants together take a few minutes
UNDER_WAY_MAX = 1_000  # messages at once: as many as triage takes of a partition
LANE_DEADLINE_S = 900.0  # of the variants that may use cheap lanes
RUNNING_SHARE_MIN = 0.05  # of the messages have to come while the same is certified, for a price of running
_number: ContextVar[int] = ContextVar("number")  # of the message on whose account a call is made
_REALTIME: tuple[Lane, ...] = ("realtime",)
_CHEAP: tuple[Lane, ...] = ("realtime", "flex")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is compared, and how. `only`: so many of the ways, by name, beside the baseline; none: all. `rate`: messages
    a second of virtual time."""

    references: tuple[Reference, ...] = ("nano-single",)
    epsilons: tuple[float, ...] = (0.02,)  # each is to be proven by itself
    confidence: float = 0.95
    seed: int = 7
    errors: Path = DEFAULT_PROFILE
    limit: int = RECORDS_MAX
    only: tuple[str, ...] = ()
    rate: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """How often labels differ from what a reference says when it is asked about the same messages."""

    share: float
    interval: Interval
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way of deciding a source. Money is USD; shares are between 0 and 1."""

    variant: str
    reference: Reference | None  # that it was proven against; None: it proves nothing
    epsilon: float | None  # how often it may differ from it, where it is to prove that
    usd_per_million: float  # running: see `_running`. Of all messages, where these are too few
    admission_usd: float | None  # spent beyond that, on trials too; None: what runs is too little
    running_share: float  # of the messages: those that the price is told of
    certified: bool  # whether anything was, at the end
    floor_usd_per_million: float  # of the same messages, at the lane's price
    floors: float  # how many times the floor it costs
    saving: float  # how many times cheaper than the baseline, of the same messages
    score: Score
    figure: float  # F1, or accuracy
    difference: Interval  # of the figure, ours less the baseline's, by a paired bootstrap
    disagreement: Mapping[str, Disagreement]  # by reference, of all messages
    below: Disagreement | None  # of those that were published below the reference that it was proven against
    below_share: float
    decided_by: Mapping[str, float]
    climbs: float
    unanswered: int
    calls: int
    proof: str  # what was certified or given up last, and why
    latency_ms_p50: float
    latency_ms_p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One source."""

    source: str
    messages: int
    of: int  # records in the source's file
    units: int
    unit: str
    sessions: int | None  # that the messages are judged by; None: one by one
    positive: str | None
    figure: str
    note: str
    own: Mapping[str, Disagreement]  # of each reference with itself: two independent calls about each message
    rows: Sequence[Row]
    match_rate: float  # share of the texts that the stand-in knows
    profile: str
    rate: float


@dataclass(frozen=True, slots=True)
class _Proof:
    """What a run has to prove, or (of the others) nothing."""

    reference: Reference | None = None
    epsilon: float | None = None

    def __str__(self) -> str:
        return "" if self.reference is None else f", {self.epsilon:.1%} beside {self.reference}"


_Labels = Sequence[str | None]


@dataclass(slots=True)
class _Run:
    """What came of one variant, and of each message what was spent on its account and what was certified as it came."""

    usd_micros: list[float]
    certified: list[str]
    decided: list[Decided] = field(default_factory=list)
    calls: int = 0
    at_end: str = ""  # what is certified then
    proof: str = ""
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def labels(self) -> _Labels:
        return [one.label for one in self.decided]


def compare(file: Path, spec: SourceSpec, policy: Policy, terms: Terms, say: Callable[[str], None]) -> Compared:
    """One source through every variant; `say` is told which is on. Raises what reading the source raises."""
    with tempfile.TemporaryDirectory(prefix="sluice-compare-") as folder:
        gold = gold_file(file, spec, None, Path(folder) / "gold.jsonl")
        source = views.read(file, spec, pointing.at_models(policy), limit=terms.limit, rate=terms.rate)
        loop = VirtualLoop()
        try:
            return loop.run_until_complete(_compare(source, terms, gold, say))
        finally:
            loop.close()


async def _compare(source: Source, terms: Terms, gold: Path, say: Callable[[str], None]) -> Compared:
    spec = source.spec
    service = Service(StandInSettings(gold=(gold,), seed=terms.seed, errors=terms.errors), LoopClock())
    runs: dict[tuple[str, _Proof], _Run] = {}
    rows = [variant for variant in LADDER if source.sessions is not None or variant.judges != "sessions only"]
    if terms.only:
        rows = [variant for variant in rows if variant.name in terms.only or variant in (BASELINE, SESSIONS)]
    for variant in rows:
        for proof in _proofs(variant, terms):
            say(f"{spec.name}: {variant.name}{proof}")
            runs[variant.name, proof] = await _run(variant, _view(variant, source), proof, source, service, terms)
    asked: dict[tuple[Reference, int], tuple[_Labels, _Labels]] = {}
    for reference in terms.references:
        for view in {id(view): view for view in (source.main, source.single)}.values():
            say(f"{spec.name}: {reference} by itself")
            first, second = [await _ask(reference, view, source, service, terms, part) for part in ("first", "second")]
            asked[reference, id(view)] = first, second
    own: dict[str, Disagreement] = {
        reference: _disagreement(*asked[reference, id(source.main)]) for reference in terms.references
    }
    baseline = source.main.judged(runs[SESSIONS.name if source.sessions else BASELINE.name, _Proof()].labels)
    return Compared(
        source=spec.name,
        messages=source.single.lines,
        of=source.of,
        units=score(baseline, spec.positive).units,
        unit=spec.unit,
        sessions=None if source.sessions is None else len(source.sessions.messages),
        positive=spec.positive,
        figure=spec.figure,
        note=spec.note,
        own=own,
        rows=[
            _row(
                variant,
                proof,
                runs[variant.name, proof],
                source,
                baseline,
                runs[BASELINE.name, _Proof()].usd_micros,
                {reference: asked[reference, id(_view(variant, source))][1] for reference in terms.references},
                terms.seed,
            )
            for variant in rows
            for proof in _proofs(variant, terms)
        ],
        match_rate=service.report()["match_rate"] or 0.0,
        profile=f"{service.profile.name} ({service.profile.hash})",
        rate=terms.rate,
    )


def _view(variant: Variant, source: Source) -> View:
    return source.single if variant.judges == "messages" else source.main


async def _ask(reference: Reference, view: View, source: Source, service: Service, terms: Terms, part: str) -> _Labels:
    """What a reference says about every message, one a call, beside all that the variants have asked it."""
    tier: Tier = "nano" if reference == "nano" or reference == "nano-single" else reference
    asking = Variant(name=f"{reference}, {part}", start=plain(tier))
    return (await _run(asking, view, _Proof(), source, service, terms)).labels


def _proofs(variant: Variant, terms: Terms) -> Sequence[_Proof]:
    """What a variant has to prove, each in a run of its own."""
    if not variant.proves:
        return (_Proof(),)
    return [_Proof(reference, epsilon) for reference in terms.references for epsilon in terms.epsilons]


async def _run(variant: Variant, view: View, proof: _Proof, source: Source, service: Service, terms: Terms) -> _Run:
    """Every message through one variant."""
    run = _Run([0.0] * len(view.messages), [""] * len(view.messages))

    def on_spend(spend: Spend) -> None:
        run.usd_micros[_number.get()] += spend.usd_micros
        run.calls += 1

    policy, stream = _in_lanes(source, variant)
    rng = random.Random(f"{terms.seed} {variant.name}{proof}")
    async with LocalGateway(policy, service, rng, on_spend) as gateway:
        quality = Quality(
            reference=proof.reference or terms.references[0],
            max_disagreement=proof.epsilon or terms.epsilons[0],
            confidence=terms.confidence,
        )
        running = variant.start(
            Setting(
                name=source.name,
                stream=stream,
                policy=policy,
                gateway=gateway,
                clock=LoopClock(),
                rng=rng,
                quality=quality,
                messages=len(view.messages),
                deadline_s=LANE_DEADLINE_S if variant.lanes else None,
            )
        )
        try:
            await _feed(running, view.messages, run)
            run.at_end, run.proof = running.certified, running.proof
        finally:
            await running.close()
    return run


async def _feed(running: Running, messages: Sequence[Message], run: _Run) -> None:
    loop = asyncio.get_running_loop()
    room = asyncio.Semaphore(UNDER_WAY_MAX)
    found: dict[int, Decided] = {}

    async def one(number: int, message: Message) -> None:
        arrived_s = loop.time()
        _number.set(number)
        async with room:
            run.certified[number] = running.certified
            found[number] = await running.decide(message.item)
        run.latencies_ms.append((loop.time() - arrived_s) * 1000)

    if messages:
        await one(0, messages[0])  # alone: the stand-in learns the labels in a thread, which takes no virtual time
    began_s = loop.time()
    async with asyncio.TaskGroup() as tasks:
        for number, message in enumerate(messages[1:], start=1):
            await asyncio.sleep(max(0.0, began_s + message.at_s - messages[0].at_s - loop.time()))
            tasks.create_task(one(number, message))
    run.decided = [found[number] for number in range(len(messages))]


def _in_lanes(source: Source, variant: Variant) -> tuple[Policy, Stream]:
    """The policy with the lanes that the variant may use."""
    lanes = _CHEAP if variant.lanes else _REALTIME
    stream = source.stream.model_copy(update={"deadline": LANE_DEADLINE_S}) if variant.lanes else source.stream
    providers = {name: one.model_copy(update={"lanes": lanes}) for name, one in source.policy.providers.items()}
    return source.policy.model_copy(update={"providers": providers, "streams": {source.name: stream}}), stream


def _row(
    variant: Variant,
    proof: _Proof,
    run: _Run,
    source: Source,
    baseline: Sequence[Judged],
    baseline_usd_micros: Sequence[float],
    references: Mapping[Reference, _Labels],
    seed: int,
) -> Row:
    """`baseline`: what quality is compared with; `baseline_usd_micros`: of the one plain call for each record;
    `references`: what they say about the messages as this variant judges them."""
    spec, view = source.spec, _view(variant, source)
    running = _running(run, view)
    usd, admission_usd = _prices(run, view, running)
    told = running or range(len(view.messages))
    offsets = [offset for number in told for offset in view.messages[number].offsets]
    ours = view.judged(run.labels)
    found = score(ours, spec.positive)
    held_to = spec.positive if spec.figure == "f1" else None
    figure = found.accuracy if held_to is None else found.f1
    price = _floor_price(source.policy, variant)
    floor = sum(floor_usd(source.single.messages[offset].item.text, price) for offset in offsets) / len(offsets) * 1e6
    plainly = sum(baseline_usd_micros[offset] for offset in offsets) / len(offsets)
    below = [number for number, one in enumerate(run.decided) if one.below]
    return Row(
        variant=variant.name,
        reference=proof.reference,
        epsilon=proof.epsilon,
        usd_per_million=usd * 1e6,
        admission_usd=admission_usd,
        running_share=len(offsets) / view.lines if running else 0.0,
        certified=bool(run.at_end),
        floor_usd_per_million=floor,
        floors=usd * 1e6 / floor,
        saving=plainly / usd / 1e6 if usd else float("inf"),
        score=found,
        figure=1.0 if figure is None else figure,  # nothing to find and nothing raised
        difference=intervals.difference(intervals.pairs(ours, baseline, held_to), held_to, seed),
        disagreement={name: _disagreement(run.labels, labels) for name, labels in references.items()},
        below=None
        if proof.reference is None
        else _disagreement([run.labels[n] for n in below], [references[proof.reference][n] for n in below]),
        below_share=len(below) / len(view.messages),
        decided_by=_shares(Counter(one.by for one in run.decided), len(view.messages)),
        climbs=sum(one.climbs for one in run.decided) / view.lines,
        unanswered=sum(one.label is None for one in run.decided),
        calls=run.calls,
        proof=run.proof,
        latency_ms_p50=quantile(run.latencies_ms, 0.5),
        latency_ms_p99=quantile(run.latencies_ms, 0.99),
    )


def _running(run: _Run, view: View) -> Sequence[int]:
    """The messages that a running price is told of: the last that came while the same was certified. Of so few as are
    no share of the source to speak of, those before them; empty where there are none, or nothing is certified any more.
    """
    if not run.at_end:
        return []
    stretches = [list(each) for what, each in groupby(range(len(view.messages)), run.certified.__getitem__) if what]
    enough = RUNNING_SHARE_MIN * view.lines
    long = (each for each in reversed(stretches) if sum(view.messages[number].lines for number in each) >= enough)
    return next(long, [])


def _prices(run: _Run, view: View, running: Sequence[int]) -> tuple[float, float | None]:
    """USD a record of `running` without what trials take meanwhile, and what was spent beyond that in all. Where there
    are none: of all messages, and None."""
    spent = sum(run.usd_micros) / 1e6
    if not running:
        return spent / max(1, view.lines), None
    lines = sum(view.messages[number].lines for number in running)
    usd = sum(run.usd_micros[number] - run.decided[number].trial_usd_micros for number in running) / 1e6 / lines
    return usd, spent - usd * view.lines


def _floor_price(policy: Policy, variant: Variant) -> Price:
    """Nano's, in the cheapest lane that the variant may use."""
    price = price_of("nano", policy.tiers.nano)
    if not variant.lanes:
        return price
    flex = MODELS[policy.tiers.nano.model].flex
    return Price(flex.input, flex.cached, flex.output, price.as_of)


def _disagreement(labels: _Labels, others: _Labels) -> Disagreement:
    """A message without an answer agrees with nothing."""
    count = sum(a is None or a != b for a, b in zip(labels, others, strict=True))
    return Disagreement(
        share=count / max(1, len(labels)), interval=intervals.share(count, len(labels)), messages=len(labels)
    )


def _shares(counts: Counter[str], total: int) -> dict[str, float]:
    return {name: count / total for name, count in counts.most_common()}
