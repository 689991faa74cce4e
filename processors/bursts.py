"""Counts the log lines of each template, so that a burst of one becomes an alert whatever its label."""

from dataclasses import dataclass, field

from processors.policy import BURST
from processors.signals import bounded, fingerprint, own_labels
from topics.limits import BURST_TEMPLATES_MAX
from topics.messages import Signal

_Place = tuple[str, int]  # topic and partition


@dataclass(slots=True)
class _Lines:
    """Of one template: what was not told yet."""

    count: int = 0
    at_ms: int = 0  # of the latest
    id: str = ""
    told_second: int = -1


@dataclass(slots=True)
class _Partition:
    """Of one input partition: they stand at different times while history is read."""

    lines: dict[tuple[str, str], _Lines] = field(default_factory=dict)  # by tenant and template
    newest_second: int = -1
    swept_second: int = -1


class Bursts:
    """One a stream. A template's lines are told once a second of *event* time, where there are at least two; a single
    one is kept and told with the next.

    Event time, because an alert's window is of event time: history that is read at full speed is no burst. Nothing
    tells what is held when a partition falls silent, so that half a burst in one second is told at once.
    """

    def __init__(self, stream: str, burst_at: int) -> None:
        self._stream = stream
        self._at_once = max(2, burst_at // 2)
        self._partitions: dict[_Place, _Partition] = {}
        self._due: list[Signal] = []

    def count(self, place: _Place, tenant: str, template: str, at_ms: int, message_id: str) -> None:
        """One more line, which came from `place`."""
        partition = self._partitions.get(place)
        if partition is None:
            partition = self._partitions[place] = _Partition()
        second, like = at_ms // 1000, (tenant, template)
        lines = partition.lines.get(like)
        if lines is None:
            if len(partition.lines) >= BURST_TEMPLATES_MAX:
                oldest = next(iter(partition.lines))
                self._tell(oldest, partition.lines.pop(oldest))
            lines = partition.lines[like] = _Lines()
        elif lines.at_ms // 1000 != second:
            self._tell(like, lines)
        lines.count += 1
        lines.at_ms, lines.id = at_ms, message_id
        if lines.count >= self._at_once and lines.told_second != second:
            self._tell(like, lines)
        partition.newest_second = max(partition.newest_second, second)

    def due(self, place: _Place) -> list[Signal]:
        """What is to be told now, asked after lines of `place`. It is told once: the caller writes it."""
        partition = self._partitions.get(place)
        if partition is not None and partition.swept_second != partition.newest_second:
            partition.swept_second = partition.newest_second
            over = [
                (like, lines)
                for like, lines in partition.lines.items()
                if lines.count != 1 and lines.at_ms // 1000 != partition.newest_second
            ]
            for like, lines in over:
                self._tell(like, lines)
                del partition.lines[like]
        due, self._due = self._due, []
        return due

    def forget(self, place: _Place) -> None:
        """The partition is another worker's, or read again from an earlier place."""
        self._partitions.pop(place, None)

    def _tell(self, like: tuple[str, str], lines: _Lines) -> None:
        if lines.count < 2:
            return
        tenant, template = like
        labels = own_labels(BURST, "warning", self._stream, tenant) | {"template": bounded(template)}
        self._due.append(
            Signal(
                fingerprint=fingerprint(labels),
                says="lines",
                count=lines.count,
                at_ms=lines.at_ms,
                id=lines.id,
                labels=labels,
                summary=template,
            )
        )
        lines.count, lines.told_second = 0, lines.at_ms // 1000
