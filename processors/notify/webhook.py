"""A webhook's form: the Alert as JSON, signed as the Standard Webhooks have it.

Three headers: `webhook-id`, the same for every try of a revision, so that a receiver knows what it had already;
`webhook-timestamp`, epoch seconds of this try; `webhook-signature`, `v1,` and the base64 of HMAC-SHA256 over
`id.timestamp.body`. https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

import orjson

from processors.notify.form import Request
from topics import codec
from topics.messages import Alert

SECRET_PREFIX = "whsec_"
_SECRET_BYTES_MIN = 24  # the specification's bounds
_SECRET_BYTES_MAX = 64


class WebhookForm:
    """`key`: as `key_of` gives it."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def alert(self, alert: Alert, now_s: float) -> Request:
        return self._signed(f"{alert.id}/{alert.revision}", codec.encode(alert), now_s)

    def several(self, alerts: Sequence[Alert], now_s: float) -> Request:
        """`{"held": [Alert, …]}`"""
        first = alerts[0]
        body = b'{"held":%b}' % orjson.dumps([orjson.Fragment(codec.encode(alert)) for alert in alerts])
        return self._signed(f"held-{first.id}/{first.revision}", body, now_s)

    def _signed(self, message_id: str, body: bytes, now_s: float) -> Request:
        timestamp = str(int(now_s))
        digest = hmac.digest(self._key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
        return Request(
            body,
            {
                "content-type": "application/json",
                "webhook-id": message_id,
                "webhook-timestamp": timestamp,
                "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
            },
        )


def key_of(secret: str) -> bytes | None:
    """The key in a secret of the form `whsec_` and base64; None where it is none."""
    if not secret.startswith(SECRET_PREFIX):
        return None
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        return None
    return key if _SECRET_BYTES_MIN <= len(key) <= _SECRET_BYTES_MAX else None
