"""The files of a Batch job, line by line: what is asked, and what came of it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from processors.asking import Ask
from processors.errors import RequestRefused
from processors.gateway import wire
from processors.gateway.dialect import Json
from processors.gateway.wire import Reading
from topics.limits import BATCH_ABOUT_CHARS_MAX

PATH = "/responses"
ENDPOINT = "/v1/responses"
_PART_CHARS = 512  # of one value of a request's metadata; there are 16 at most


def scope_of(*parts: str) -> str:
    """A name for one installation of Sluice: its workers know each other's jobs by it, and touch no others."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


def custom_id_of(stream: str, body: bytes, key: str | None) -> str:
    """The same for the same request of the same stream and key, whoever makes it. At most 64 characters."""
    digest = hashlib.blake2b(digest_size=20)
    for part in (stream.encode(), (key or "").encode(), body):
        digest.update(len(part).to_bytes(8) + part)
    return f"sluice-{digest.hexdigest()}"


def mark_of(stream: str, name: str) -> int:
    """A custom_id, or a message id, in 64 bits: what is kept of the names in a job."""
    return int.from_bytes(hashlib.blake2b(f"{stream}\0{name}".encode(), digest_size=8).digest())


def metadata_of(ask: Ask) -> dict[str, str]:
    """What travels with a request and comes back with its answer: on whose account it goes, and what it is about.

    Raises RequestRefused where that is too long.
    """
    about = orjson.dumps(ask.about).decode() if ask.about else ""
    if len(about) > BATCH_ABOUT_CHARS_MAX:
        raise RequestRefused(
            f"what the ask is about has {len(about)} characters, and a Batch job takes {BATCH_ABOUT_CHARS_MAX}: "
            f"ask about fewer messages at once"
        )
    parts = {
        f"about{start // _PART_CHARS:02}": about[start : start + _PART_CHARS]
        for start in range(0, len(about), _PART_CHARS)
    }
    if len(ask.note) > _PART_CHARS:
        raise RequestRefused(f"the ask's note has {len(ask.note)} characters, and a Batch job takes {_PART_CHARS}")
    if ask.note:
        parts["note"] = ask.note
    return {"stream": ask.stream, "tenant": ask.tenant, "purpose": ask.purpose, "messages": str(ask.messages)} | parts


def line_of(custom_id: str, request: Json) -> bytes:
    """One line of a job's input."""
    return orjson.dumps({"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": request}) + b"\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """One line of an input, as a worker reads it that did not write it."""

    custom_id: str
    stream: str
    about: Mapping[str, str]


def read_input(line: bytes) -> Asked | None:
    """None where it is no such line."""
    try:
        data = orjson.loads(line)
        noted = data["body"].get("metadata") or {}
        return Asked(str(data["custom_id"]), str(noted.get("stream", "")), _about(noted))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """One line of an output or error file."""

    custom_id: str
    status: int  # HTTP; 0 where the request was never worked on: the job expired or was cancelled before
    reading: Reading | None
    tenant: str
    purpose: str
    messages: int
    about: Mapping[str, str]
    note: str

    @property
    def answered(self) -> bool:
        return self.reading is not None


def read_output(line: bytes) -> Result | None:
    """None where it is no such line."""
    try:
        data = orjson.loads(line)
        response: Any = data.get("response") or {}
        status = int(response.get("status_code") or 0)
        body: Any = response.get("body") or {}
        reading = wire.read_payload(body, "responses") if status == 200 else None
        noted: Any = body.get("metadata") or {}
        return Result(
            custom_id=str(data["custom_id"]),
            status=status,
            reading=reading,
            tenant=str(noted.get("tenant", "default")),
            purpose=str(noted.get("purpose", "triage")),
            messages=int(noted.get("messages", 1)),
            about=_about(noted),
            note=str(noted.get("note", "")),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _about(metadata: Mapping[str, str]) -> Mapping[str, str]:
    text = "".join(value for key, value in sorted(metadata.items()) if key.startswith("about"))
    about: Mapping[str, str] = orjson.loads(text) if text else {}
    return about
