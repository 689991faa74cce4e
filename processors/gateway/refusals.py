"""What a call without a good answer means: whose matter it is, and whether the call is tried again."""

from dataclasses import dataclass
from typing import Any, Literal

import orjson

from processors.errors import AccountSpent, KeyRefused, ModelUnknown, RequestRefused, SluiceError

# 429s (and 402) that say that the money is gone; more of them by their ending
_BILLING = {
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
    "billing_not_active",
}
_BILLING_ENDING = "_spend_limit_exceeded"
_TEXT_CHARS_MAX = 300  # of the provider's words in our messages


Trouble = Literal["rate_limit", "slow_down", "capacity", "overload", "fault"]
"""What trying again may mend.

rate_limit  the model's limit was hit: nothing is sent to it until Retry-After
slow_down   traffic grew too fast: cut, and grow slowly
capacity    a cheap lane has no room just now: free, and no fault of the limits
overload    503 and its like, or no answer in time
fault       another 5xx, a broken connection, garbage
"""


@dataclass(frozen=True, slots=True)
class Again:
    """The call may be tried again."""

    kind: Trouble
    detail: str
    after_s: float | None = None  # how long the server asks to wait, if it does


@dataclass(frozen=True, slots=True)
class Complaint:
    """The error in a response's body, in OpenAI's shape or near it."""

    code: str
    type: str
    param: str
    message: str

    @classmethod
    def read(cls, body: bytes) -> "Complaint":
        """Never raises: what has no shape becomes the message."""
        try:
            data: Any = orjson.loads(body)
        except orjson.JSONDecodeError:
            return cls("", "", "", body[:_TEXT_CHARS_MAX].decode("utf-8", "replace"))
        error = data.get("error", data) if isinstance(data, dict) else data
        if not isinstance(error, dict):
            return cls("", "", "", str(error)[:_TEXT_CHARS_MAX])
        message = error.get("message") or error.get("detail") or ""
        code, type_, param = (str(error.get(key) or "") for key in ("code", "type", "param"))
        return cls(code, type_, param, str(message)[:_TEXT_CHARS_MAX])


@dataclass(frozen=True, slots=True)
class Refused:
    """The call is not tried again as it is."""

    error: SluiceError
    complaint: Complaint


def judge(status: int, body: bytes, *, server: str, model: str, key_remedy: str) -> Again | Refused:
    """Of a response that is no success. `server` and `model` name the settings, for the remedy."""
    complaint = Complaint.read(body)
    said = f"{server} answered {status}" + (f": {complaint.message}" if complaint.message else "")
    kinds = {complaint.code, complaint.type}
    if status == 402 or kinds & _BILLING or complaint.code.endswith(_BILLING_ENDING):
        return Refused(
            AccountSpent(
                f"{said} ({complaint.code or complaint.type or 'payment required'}). "
                f"The provider's account has no credit: add some or raise its limit. Nothing is lost meanwhile"
            ),
            complaint,
        )
    match status:
        case 401 | 403:  # the server's own words may quote the key
            return Refused(
                KeyRefused(f"{server} answered {status}: it does not accept the key. {key_remedy}"), complaint
            )
        case 404 | 405 | 301 | 302 | 303 | 307 | 308:
            unknown = f"{said}. Check the model '{model}' and the base URL of {server}, with its /v1 if it has one"
            return Refused(ModelUnknown(unknown), complaint)
        case 429 if complaint.message.lower().startswith("request too large"):  # than the whole limit: waiting is vain
            return Refused(RequestRefused(said), complaint)
        case 429 if "slow_down" in kinds:
            return Again("slow_down", said)
        case 429 if "resource_unavailable" in kinds or "resource unavailable" in complaint.message.lower():
            return Again("capacity", said)
        case 429:
            return Again("rate_limit", said)
        case 408 | 503 | 504 | 529:
            return Again("overload", said)
        case 409 | 425:
            return Again("fault", said)
        case _ if 400 <= status < 500 and complaint.code == "model_not_found":
            return Refused(ModelUnknown(f"{said}. Check the model '{model}'"), complaint)
        case _ if 400 <= status < 500:
            return Refused(RequestRefused(said), complaint)
        case _:
            return Again("fault", said)
