"""Those who send: sample messages as lines of a file and rows of an outbox."""

from dataclasses import dataclass, field
from pathlib import Path

import orjson

from local.postgres import LocalPostgres
from local.samples import Sample


@dataclass(slots=True)
class Senders:
    """Hands over samples in order. `given`: how many so far, by stream."""

    file: Path
    postgres: LocalPostgres
    samples: list[Sample]
    given: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("logs", "emails"), 0))
    _position: int = 0

    def feed(self, share: float) -> None:
        """Hands over the next samples, up to `share` of all."""
        until = round(share * len(self.samples))
        chosen, self._position = self.samples[self._position : until], until
        lines = [line for s in chosen if s.topic == "logs" and (line := _line(s)) is not None]
        mails = [(s.id, mail) for s in chosen if s.topic == "emails" and (mail := _mail(s)) is not None]
        with self.file.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        values = ",\n".join(f"('email', {_quoted(id)}, 'received', {_quoted(mail)})" for id, mail in mails)
        self.postgres.query(f"INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES {values}")
        self.given["logs"] += len(lines)
        self.given["emails"] += len(mails)


def _line(sample: Sample) -> str | None:
    """None for what a text file cannot hold as one line."""
    try:
        line = (sample.value or b"\n").decode()
    except UnicodeDecodeError:
        return None
    return line if line.splitlines() == [line] else None


def _mail(sample: Sample) -> str | None:
    """None for what a column of JSON cannot hold."""
    try:
        payload = sample.payload if sample.payload is not None else orjson.loads(sample.value or b"")
    except orjson.JSONDecodeError:
        return None
    return orjson.dumps(payload).decode()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
