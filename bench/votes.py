"""What company costs a batch's answers, and what second votes give back: the same messages under several seeds."""

from pathlib import Path
from statistics import mean, stdev

from bench.result import Figure, Result
from local.at_once import processes
from local.eval import compare
from local.eval.compare import Compared, Terms
from local.eval.sources import SourceSpec, load
from processors.errors import ConfigurationError
from streams import settings

ABOUT = (
    "Real messages, 8,000 of a source at most, in their order; models are simulated, error profile A. The figure (F1, "
    "or accuracy) of batches less that of one plain call a message, mean of six seeds with its standard error; and how "
    "many times the floor it costs (docs/cost.md)."
)
BATCHED, VOTED = "nano, batched", "+ second votes"
_BASELINE = "nano, one a call"
_COLUMNS = {
    "figure": "figure, one a call",
    "batched": "batched",
    "voted": "with second votes",
    "standard_error": "± of it",
    "batched_floors": "× floor, batched",
    "voted_floors": "with second votes",
}
_SEEDS = range(7, 13)
_LIMIT = 8_000


def run(data: Path, policies: Path = Path("bench/policies"), *, limit: int = _LIMIT) -> Result:
    """Sources that are judged message by message. Raises ConfigurationError where `data` has none."""
    specs = [spec for spec in load(policies).values() if spec.unit == "message" and (data / spec.data).exists()]
    if not specs:
        raise ConfigurationError(f"{data}: none of the files that {policies}/sources.toml names is there.")
    with processes() as pool:
        found = {
            spec.name: [pool.submit(_compared, data, policies, spec, seed, limit) for seed in _SEEDS] for spec in specs
        }
        lines = {name: _line([one.result() for one in each]) for name, each in found.items()}
    return Result(suite="votes", about=ABOUT, columns=_COLUMNS, lines=lines)


def _compared(data: Path, policies: Path, spec: SourceSpec, seed: int, limit: int) -> Compared:
    policy = settings.load(policies / f"{spec.name}.toml")
    terms = Terms(seed=seed, limit=limit, only=(BATCHED, VOTED))
    return compare.compare(data / spec.data, spec, policy, terms, lambda _: None)


def _line(found: list[Compared]) -> dict[str, Figure]:
    """Of one source, by seed."""
    by_way = [{row.variant: row for row in one.rows} for one in found]
    plain = [rows[_BASELINE].figure for rows in by_way]
    lost = {
        way: [rows[way].figure - figure for rows, figure in zip(by_way, plain, strict=True)] for way in (BATCHED, VOTED)
    }
    return {
        "figure": mean(plain),
        "batched": mean(lost[BATCHED]),
        "voted": mean(lost[VOTED]),
        "standard_error": stdev(lost[VOTED]) / len(plain) ** 0.5,
        "batched_floors": mean(rows[BATCHED].floors for rows in by_way),
        "voted_floors": mean(rows[VOTED].floors for rows in by_way),
    }
