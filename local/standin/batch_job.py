"""One Batch job: what it is about, how far it is, and how it looks to its client."""

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
WINDOW_SECONDS = 24 * 3_600


@dataclass(slots=True)
class Job:
    """Times are seconds since the epoch, by the status that began then."""

    id: str
    number: int  # in the order of creation
    endpoint: str
    input_file_id: str
    metadata: dict[str, str] | None
    output_seconds: int | None  # after which its files expire
    created_s: float
    lines_max: int | None = None  # it expires after so many: a fault
    status: Status = "validating"
    times: dict[str, float] = field(default_factory=dict)
    model: str | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0
    completed: int = 0
    failed: int = 0
    queued_tokens: int = 0  # that it takes from its model's queue while it is under way
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None

    @property
    def ended(self) -> bool:
        return self.status in ("failed", "completed", "expired", "cancelled")

    def become(self, status: Status, now_s: float) -> None:
        self.status = status
        self.times[status] = now_s

    def rendered(self) -> dict[str, Any]:
        """The Batch object."""
        times = {
            f"{status}_at": int(self.times[status]) if status in self.times else None
            for status in ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
        }
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "model": self.model,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "input_file_id": self.input_file_id,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": int(self.created_s),
            "expires_at": int(self.created_s) + WINDOW_SECONDS,
            **times,
            "request_counts": {"total": self.total, "completed": self.completed, "failed": self.failed},
            "usage": {
                "input_tokens": self.input_tokens,
                "input_tokens_details": {"cached_tokens": self.cached_tokens},
                "output_tokens": self.output_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": self.input_tokens + self.output_tokens,
            },
            "metadata": self.metadata,
        }
