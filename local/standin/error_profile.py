"""The parameters of the stand-in's errors, read from errors.toml and checked."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson

from topics.messages import Tier

DEFAULT_PROFILE = Path(__file__).with_name("errors.toml")


@dataclass(frozen=True, slots=True)
class Drift:
    """From then on, a tier errs more often and on other items."""

    since_s: float  # since the epoch
    tiers: tuple[str, ...]
    error_factor: float
    redrawn: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorProfile:
    """See errors.toml for what each value means. `hash` is of the values, not of the file's wording."""

    name: str
    hash: str
    shared: float
    persistent: float
    tiers: Mapping[str, float]
    same_across_tiers: float
    concentration: float
    rows: Mapping[str, Mapping[str, float]]
    auroc: float
    temperature: float
    per_doubling: float
    last_third: float
    mixed_sources: float
    neighbour: float
    broken_items: float
    obedience: int
    escalate_below: float
    drifts: tuple[Drift, ...]

    def drift_at(self, tier: Tier, now: float) -> tuple[float, float]:
        """Factor on the error and share of redrawn items at a time (seconds since the epoch)."""
        factor, redrawn = 1.0, 0.0
        for drift in self.drifts:
            if tier in drift.tiers and now >= drift.since_s:
                factor, redrawn = factor * drift.error_factor, max(redrawn, drift.redrawn)
        return factor, redrawn


def load_profile(path: Path = DEFAULT_PROFILE) -> ErrorProfile:
    """Reads a profile. Raises ValueError that names the file, the value and the rule."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return _profile(values)
    except KeyError as error:
        raise ValueError(f"{path}: {error} is missing; the profile beside the code has every value") from None
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _profile(values: dict[str, Any]) -> ErrorProfile:
    confusions, batch = values["confusions"], values["batch"]
    profile = ErrorProfile(
        name=values["profile"],
        hash=hashlib.sha256(orjson.dumps(values, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12],
        shared=_share("difficulty.shared", values["difficulty"]["shared"]),
        persistent=_share("difficulty.persistent", values["difficulty"]["persistent"]),
        tiers={tier: _share(f"tiers.{tier}", values["tiers"][tier]) for tier in ("nano", "mini", "flagship")},
        same_across_tiers=_share("confusions.same_across_tiers", confusions["same_across_tiers"]),
        concentration=_positive("confusions.concentration", confusions["concentration"]),
        rows=confusions.get("rows", {}),
        auroc=_share("confidence.auroc", values["confidence"]["auroc"]),
        temperature=_positive("confidence.temperature", values["confidence"]["temperature"]),
        per_doubling=batch["per_doubling"],
        last_third=_positive("batch.last_third", batch["last_third"]),
        mixed_sources=_positive("batch.mixed_sources", batch["mixed_sources"]),
        neighbour=_share("batch.neighbour", batch["neighbour"]),
        broken_items=_share("batch.broken_items", batch["broken_items"]),
        obedience=values["injection"]["obedience"],
        escalate_below=_share("agents.escalate_below", values["agents"]["escalate_below"]),
        drifts=tuple(
            Drift(_moment(d["from"]), tuple(d["tiers"]), d["error_factor"], _share("drift.redrawn", d["redrawn"]))
            for d in values.get("drift", ())
        ),
    )
    if profile.obedience not in (0, 1):
        raise ValueError(f"injection.obedience = {profile.obedience} is not 0 or 1")
    if not 0.5 <= profile.auroc < 1:
        raise ValueError(f"confidence.auroc = {profile.auroc} is not in [0.5, 1)")
    return profile


def _moment(value: object) -> float:
    """Seconds since the epoch of a time, or of a day's midnight UTC."""
    if not isinstance(value, date):
        raise ValueError(f"drift.from = {value!r} is no date or time: write 2027-02-01 or 2026-11-23T00:00:20Z")
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} = {value} is not between 0 and 1")
    return value


def _positive(name: str, value: float) -> float:
    if value <= 0:
        raise ValueError(f"{name} = {value} is not above 0")
    return value
