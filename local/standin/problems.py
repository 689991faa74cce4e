"""What the API refuses, in OpenAI's own error JSON."""

from collections.abc import Mapping
from typing import Any


class Problem(Exception):
    """Ends a request with an HTTP status and OpenAI's error object."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self._error = {"message": message, "type": type, "param": param, "code": code}

    def body(self) -> dict[str, Any]:
        return {"error": self._error, "simulated": True}


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> Problem:
    """400: the request breaks a rule of the API."""
    return Problem(400, message, type="invalid_request_error", code=code, param=param)


def wrong_key() -> Problem:
    return Problem(401, "Incorrect API key provided.", type="invalid_request_error", code="invalid_api_key")


def unknown_model(name: str) -> Problem:
    return Problem(
        404,
        f"The model `{name}` does not exist or you do not have access to it.",
        type="invalid_request_error",
        code="model_not_found",
    )


def server_error(status: int) -> Problem:
    return Problem(status, "The server had an error while processing your request.", type="server_error")


def retry_headers(seconds: float) -> dict[str, str]:
    """`retry-after` in whole seconds, `retry-after-ms` exactly, both rounded up."""
    ms = max(1, -int(-seconds * 1000 // 1))
    return {"retry-after": str(-(-ms // 1000)), "retry-after-ms": str(ms)}


def rate_limited(model: str, unit: str, limit: int, used: int, requested: int, wait_s: float) -> Problem:
    """429: `unit` is requests or tokens, the figures are per minute."""
    short = "TPM" if unit == "tokens" else "RPM"
    return Problem(
        429,
        f"Rate limit reached for {model} on {unit} per min ({short}): Limit {limit}, Used {used}, "
        f"Requested {requested}. Please try again in {max(1, round(wait_s * 1000))}ms.",
        type=unit,
        code="rate_limit_exceeded",
        headers=retry_headers(wait_s),
    )


def too_large(model: str, limit: int, requested: int) -> Problem:
    """429 that no waiting cures: one request above the minute's tokens."""
    return Problem(
        429,
        f"Request too large for {model} on tokens per min (TPM): Limit {limit}, Requested {requested}. "
        "The input or output tokens must be reduced in order to run successfully.",
        type="tokens",
        code="rate_limit_exceeded",
    )


def slow_down(wait_s: float) -> Problem:
    return Problem(
        429,
        "Slow down: the rate of requests grew too fast. Reduce it and increase it gradually.",
        type="requests",
        code="slow_down",
        headers=retry_headers(wait_s),
    )


def flex_unavailable() -> Problem:
    """429 of the flex lane: nothing is charged, neither money nor limits."""
    return Problem(
        429,
        "Resource Unavailable: there is not enough flex capacity. Try again later or use the default service tier.",
        type="resource_unavailable",
        code="resource_unavailable",
    )


def account_spent(code: str) -> Problem:
    """429 that is not to be retried: the account has no money."""
    return Problem(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        type="insufficient_quota",
        code=code,
    )
