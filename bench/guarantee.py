"""The guarantee against simulated streams: how often a claim is false, and how many audits a certificate takes."""

from collections.abc import Callable, Mapping
from functools import partial
from math import log
from time import perf_counter
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.result import Figure, Result
from processors.quality.betting import FRACTIONS, version_delta

ABOUT = (
    "Simulated audits, seeded: no model was asked. ε 2%, δ 5%. Running: 10,000 messages a run, least audit probability "
    "10%; a run is false if E is 1/δ or more at any moment when the realised disagreement is ε or more. Admission: a "
    "true disagreement of ε, 10,000 audits; false if ever certified. Audits: the median until the certificate at a "
    "true 0.5%, at all of δ and at the half that a rule has where there are two. Clustered: lines of which 2.6% are "
    "wrong, in spells; 'in a row' takes 2,500 consecutive ones, 'spread' waits for 24 hours of as many."
)
_COLUMNS = {"runs": "runs", "false_share": "false", "allowed_share": "allowed", "audits_median": "audits, median"}

EPSILON, DELTA = 0.02, 0.05
Kind = Literal["at the boundary", "drift", "on the line", "errs once it is proven", "errs where few look"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Numbers = NDArray[np.float64]
Outcomes = NDArray[np.bool_]
_BLOCK = 200  # runs of one seed
_RUNS = 8_000  # for a median: it moves in steps of a disagreement
_PARTS = np.array(FRACTIONS)


def run(seconds: float = 10.0) -> Result:
    """`seconds` of runs for each line, at least 200 of them."""
    trials: dict[str, tuple[Callable[[int], Outcomes], float]] = {
        f"running: {kind}": (partial(running_false, kind, _BLOCK), DELTA) for kind in KINDS
    }
    for number in (1, 5, 20):
        allowed = version_delta(DELTA, number)
        trials[f"admission: version {number}"] = partial(ever, _BLOCK, allowed), allowed
    trials["admission: any of 20 versions"] = partial(any_of, 20, _BLOCK, spend=True), DELTA
    trials["the same, each at all of δ (wrong)"] = partial(any_of, 20, _BLOCK, spend=False), DELTA
    trials["clustered, in a row (wrong)"] = partial(clustered_false, _BLOCK, hours_min=0), DELTA
    trials["clustered, spread"] = partial(clustered_false, _BLOCK, hours_min=24), DELTA
    lines: dict[str, Mapping[str, Figure]] = {
        name: _false(trial, seconds, allowed) for name, (trial, allowed) in trials.items()
    }
    for number in (1, 5, 20):
        for share, of in ((1.0, "δ"), (0.5, "δ/2")):
            stopped = audits_until(_RUNS, version_delta(DELTA * share, number), 0.005, seed=number, audits=4_000)
            lines[f"audits at 0.5%: version {number}, {of}"] = {
                "runs": float(_RUNS),
                "audits_median": float(np.median(stopped)),
            }
    return Result(suite="guarantee", about=ABOUT, columns=_COLUMNS, lines=lines)


def running_false(kind: Kind, runs: int, seed: int, *, messages: int = 10_000, least: float = 0.1) -> Outcomes:
    """Whether the running claim was false at any moment, for each run. The stream sees E before each message, and so
    does the audit probability, as a predictable rule may."""
    rng = np.random.default_rng(seed)
    logs = np.zeros((runs, len(_PARTS)))
    wrong = np.zeros(runs)
    false = np.zeros(runs, dtype=bool)
    bound = -log(DELTA)
    log_e = np.zeros(runs)
    shift_at = rng.integers(messages // 4, messages, runs)
    shift_to = rng.uniform(0.05, 0.4, runs)
    for n in range(messages):
        probability = np.full(runs, least)
        match kind:
            case "at the boundary":
                w = rng.random(runs) < EPSILON
            case "drift":
                w = rng.random(runs) < np.where(n < shift_at, EPSILON / 4, shift_to)
            case "on the line":  # as few errors as keep it at ε
                w = wrong < EPSILON * (n + 1)
            case "errs once it is proven":
                w = np.where(log_e >= bound, True, rng.random(runs) < EPSILON / 4)
            case "errs where few look":  # audits rise with E; errors come while they are rare
                probability = np.where(log_e > 1.0, 1.0, least)
                w = (probability < 1) & (rng.random(runs) < 1.25 * EPSILON)
                w |= wrong + 1 < EPSILON * (n + 1)
        audited = rng.random(runs) < probability
        weight = np.where(audited, least / probability, 0.0)[:, None]
        gain = np.log1p(weight * EPSILON * (1 - _PARTS) / (1 - EPSILON))
        logs += np.where(w[:, None], np.log1p(-weight * (1 - _PARTS)), gain)
        wrong += w
        log_e = _log_mean(logs)
        false |= (log_e >= bound) & (wrong >= EPSILON * (n + 1))
    return false


def ever(runs: int, delta: float, seed: int, *, disagreement: float = EPSILON, audits: int = 10_000) -> Outcomes:
    """Whether E of uniform audits ever reaches 1/`delta`, for each run."""
    return audits_until(runs, delta, disagreement, seed=seed, audits=audits) < audits + 1


def audits_until(
    runs: int, delta: float, disagreement: float, *, seed: int, audits: int = 10_000
) -> NDArray[np.float64]:
    """Audits until E reaches 1/`delta`, one more than `audits` where it does not, for each run."""
    rng = np.random.default_rng(seed)
    stopped = np.full(runs, audits + 1.0)
    for at in range(0, runs, 100):  # megabytes at a time
        w = rng.random((min(100, runs - at), audits)) < disagreement
        reached = _paths(w) >= -log(delta)
        stopped[at : at + len(w)] = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, audits + 1)
    return stopped


def any_of(versions: int, runs: int, seed: int, *, spend: bool, audits: int = 4_000) -> Outcomes:
    """Whether any of so many versions at the boundary is certified, for each run. `spend`: each has its part of δ,
    else all of it."""
    false = np.zeros(runs, dtype=bool)
    for number in range(1, versions + 1):
        delta = version_delta(DELTA, number) if spend else DELTA
        false |= ever(runs, delta, seed * 1_000 + number, audits=audits)
    return false


def clustered(rng: np.random.Generator, lines: int) -> Outcomes:
    """Lines that are wrong in spells, as those of a cluster are that fails block by block: 2.6% in all."""
    spell = 60
    loud = rng.random(-(-lines // spell)) < 0.2
    return rng.random(lines) < np.repeat(np.where(loud, 0.12, 0.0025), spell)[:lines]


def clustered_false(runs: int, seed: int, *, hours_min: int) -> Outcomes:
    """Whether "never wrong" is certified at 2% for such lines, for each run: by 2,500 in a row, or by all of them from
    the `hours_min`-th hour on."""
    rng = np.random.default_rng(seed)
    false = np.zeros(runs, dtype=bool)
    bound = -log(version_delta(DELTA, 1))
    lines = 2_500  # an hour
    for at in range(runs):
        w = clustered(rng, lines * max(1, 2 * hours_min))
        log_e = _paths(w[None, :])[0][max(0, hours_min * lines - 1) :]
        false[at] = (log_e >= bound).any()
    return false


def _false(trial: Callable[[int], Outcomes], seconds: float, allowed: float) -> Mapping[str, Figure]:
    """Whole blocks of runs, each with its own seed, for about `seconds`."""
    began = perf_counter()
    blocks = [trial(1)]
    while perf_counter() - began < seconds:
        blocks.append(trial(len(blocks) + 1))
    outcomes = np.concatenate(blocks)
    return {"runs": float(len(outcomes)), "false_share": float(outcomes.mean()), "allowed_share": allowed}


def _paths(w: Outcomes) -> Numbers:
    """log E after each audit of weight 1; runs × audits, as `w`."""
    gain = np.log1p(EPSILON * (1 - _PARTS) / (1 - EPSILON))
    loss = np.log(_PARTS)
    wrong = np.cumsum(w, axis=1, dtype=np.float64)
    right = np.arange(1.0, w.shape[1] + 1) - wrong
    largest: Numbers = np.max([right * g + wrong * lost for g, lost in zip(gain, loss, strict=True)], axis=0)
    total = sum(np.exp(right * g + wrong * lost - largest) for g, lost in zip(gain, loss, strict=True))
    path: Numbers = largest + np.log(total / len(_PARTS))
    return path


def _log_mean(logs: Numbers) -> Numbers:
    largest = logs.max(axis=1)
    mean: Numbers = largest + np.log(np.exp(logs - largest[:, None]).mean(axis=1))
    return mean
