"""`/v1/files`: what was uploaded and what jobs have written, kept in memory until it is deleted or has expired."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.standin.problems import Problem, invalid
from processors.clock import Clock

PATH = "/v1/files"
FILE_BYTES_MAX = 512 * 1024 * 1024  # the provider's; of a batch's input BATCH_BYTES_MAX
BATCH_BYTES_MAX = 200_000_000
STORED_BYTES_MAX = 4 * 1024**3  # of all files: this is a process on somebody's machine
BATCH_SECONDS = 30 * 86_400  # a batch's input expires by itself
EXPIRY_SECONDS = range(3_600, 2_592_001)
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
PAGE_MAX = 10_000


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file. `number` is its place in the order of creation."""

    id: str
    number: int
    name: str
    purpose: str
    data: bytes
    created_s: float
    expires_s: float | None

    def rendered(self) -> dict[str, Any]:
        """The File object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.data),
            "created_at": int(self.created_s),
            "expires_at": None if self.expires_s is None else int(self.expires_s),
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


class Files:
    """All files of the stand-in's one project."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._files: dict[str, StoredFile] = {}
        self._numbers = itertools.count(1)

    def upload(self, form: Mapping[str, str], name: str | None, data: bytes) -> StoredFile:
        """What a client sends. Raises Problem."""
        purpose = form.get("purpose")
        if purpose is None:
            raise invalid("Missing required parameter: 'purpose'.", param="purpose", code="missing_required_parameter")
        if purpose not in PURPOSES:
            raise invalid(
                f"'{purpose}' is not one of {list(PURPOSES)} - 'purpose'", param="purpose", code="invalid_value"
            )
        if name is None:
            raise invalid("Missing required parameter: 'file'.", param="file", code="missing_required_parameter")
        if purpose == "batch" and not name.endswith(".jsonl"):
            raise invalid("Invalid file format for Batch API. Must be .jsonl", param="file")
        if len(data) > (BATCH_BYTES_MAX if purpose == "batch" else FILE_BYTES_MAX):
            raise Problem(413, "The file is larger than is allowed.", type="invalid_request_error", param="file")
        seconds = BATCH_SECONDS if purpose == "batch" else None
        if (asked := form.get("expires_after[seconds]")) is not None:
            seconds = expiry(form.get("expires_after[anchor]"), int(asked) if asked.isdigit() else asked)
        return self.add(name, purpose, data, seconds)

    def add(self, name: str, purpose: str, data: bytes, expire_s: float | None = None) -> StoredFile:
        """Keeps a file. Raises Problem where all of them together would be too large."""
        self._forget_expired()
        if sum(len(file.data) for file in self._files.values()) + len(data) > STORED_BYTES_MAX:
            raise invalid("The project's storage is used up: delete some files.", param="file")
        number, now_s = next(self._numbers), self._clock.time()
        stored = StoredFile(
            id=f"file-{number:024d}",
            number=number,
            name=name,
            purpose=purpose,
            data=data,
            created_s=now_s,
            expires_s=None if expire_s is None else now_s + expire_s,
        )
        self._files[stored.id] = stored
        return stored

    def get(self, file_id: str) -> StoredFile:
        """Raises Problem where it is not there."""
        self._forget_expired()
        if file_id not in self._files:
            raise Problem(404, f"No such File object: {file_id}", type="invalid_request_error", param="id")
        return self._files[file_id]

    def delete(self, file_id: str) -> dict[str, Any]:
        """Raises Problem where it is not there."""
        del self._files[self.get(file_id).id]
        return {"id": file_id, "object": "file", "deleted": True}

    def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """The list, newest first unless `order` says otherwise. Raises Problem."""
        self._forget_expired()
        purpose = query.get("purpose")
        found = [file for file in self._files.values() if purpose is None or file.purpose == purpose]
        found.sort(key=lambda file: file.number, reverse=query.get("order", "desc") == "desc")
        return page([file.rendered() for file in found], query, PAGE_MAX, PAGE_MAX)

    def _forget_expired(self) -> None:
        now_s = self._clock.time()
        for file_id in [f.id for f in self._files.values() if f.expires_s is not None and f.expires_s <= now_s]:
            del self._files[file_id]


def expiry(anchor: Any, seconds: Any) -> int:
    """The seconds of an `expires_after`. Raises Problem."""
    if anchor != "created_at":
        raise invalid("Invalid value: supported values are: 'created_at'.", param="expires_after.anchor")
    if not isinstance(seconds, int) or seconds not in EXPIRY_SECONDS:
        raise invalid(
            f"Expected a value between {EXPIRY_SECONDS.start} and {EXPIRY_SECONDS.stop - 1}, but got {seconds}.",
            param="expires_after.seconds",
            code="invalid_value",
        )
    return seconds


def page(found: list[dict[str, Any]], query: Mapping[str, str], usual: int, most: int) -> dict[str, Any]:
    """One page of a list: what comes after the object `after`, at most `limit`. Raises Problem."""
    asked = query.get("limit", str(usual))
    if not asked.isdigit() or not 1 <= int(asked) <= most:
        raise invalid(f"Invalid 'limit': expected an integer between 1 and {most}.", param="limit")
    if (after := query.get("after")) is not None:
        places = [place for place, one in enumerate(found) if one["id"] == after]
        if not places:
            raise invalid(f"Invalid 'after': no such object: {after}.", param="after")
        found = found[places[0] + 1 :]
    some = found[: int(asked)]
    return {
        "object": "list",
        "data": some,
        "first_id": some[0]["id"] if some else None,
        "last_id": some[-1]["id"] if some else None,
        "has_more": len(found) > len(some),
    }
