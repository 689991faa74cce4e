"""How a stand-in is started."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.standin.error_profile import DEFAULT_PROFILE
from local.standin.models import MODELS, ServedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class StandInSettings:
    """Limits are per model and generous: far beyond what one machine sends."""

    port: int = 0  # 0: any free one
    gold: tuple[Path, ...] = ()  # JSONL, plain or .gz
    seed: int = 0
    errors: Path = DEFAULT_PROFILE
    latency_scale: float = 1.0  # 0: at once
    key: str | None = None  # None: any key, or none, will do
    requests_per_minute: int = 600_000
    tokens_per_minute: int = 2_000_000_000
    burst_s: float = 1.0  # what may come at once, in seconds' worth of the limit
    flex_unavailable: float = 0.02  # share of flex calls that find no room
    batch_seconds: float = 3600.0  # that a Batch job takes, before `latency_scale`
    batch_queue_tokens: int = 15_000_000_000  # of a model's Batch jobs that have not ended
    models: Mapping[str, ServedModel] = field(default_factory=lambda: MODELS)

    def __post_init__(self) -> None:
        if self.latency_scale < 0:
            raise ValueError(f"latency_scale = {self.latency_scale} is below 0: use 0 for none, 1 for a model's own")
        if min(self.requests_per_minute, self.tokens_per_minute) < 1 or self.burst_s <= 0:
            raise ValueError("limits and the burst have to be above 0")
        if self.batch_seconds < 0 or self.batch_queue_tokens < 1:
            raise ValueError("batch_seconds has to be 0 or more, and batch_queue_tokens above 0")
        if not 0 <= self.flex_unavailable <= 1:
            raise ValueError(f"flex_unavailable = {self.flex_unavailable} is not between 0 and 1")
