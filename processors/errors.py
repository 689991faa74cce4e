"""What can go wrong, by who must act.

SluiceError
├── ConfigurationError     you: a setting or policy is wrong; never retried
├── AccountError           the operator: intake pauses, nothing is committed, looked at again every HOLD_SECONDS
│   ├── KeyRefused           401 and 403
│   ├── AccountSpent         429 with a billing code: never retried at once
│   ├── ModelUnknown         404: no such model or path
│   └── BudgetSpent          our own hard budget; `retry_after_s` is the rest of its period
├── PatternTooSlow         you: a regular expression that finds no end in a message; a dead letter `internal`
├── AnswerLater            nobody: a Batch job works at it; the record is parked and taken up after `again_s`
├── ProviderUnavailable    nobody: timeouts, 5xx, 429 beyond the call's own retries; the record is tried again later
└── AnswerError            the message or the model: counts as an attempt of the record
    ├── AnswerRefused        the model declined; a dead letter `model_refused` after bounded attempts
    ├── AnswerInvalid        garbage, or items missing even alone; `model_invalid`
    └── RequestRefused       400: the provider does not take this request; `model_invalid`
"""

from typing import Literal

from topics.limits import HOLD_SECONDS


class SluiceError(Exception):
    """Base of all errors that Sluice raises on purpose."""


class ConfigurationError(SluiceError):
    """A wrong setting. The message names the value, the rule and the remedy."""


class PatternTooSlow(SluiceError):
    """A policy's regular expression that takes too long for one message."""


class AccountError(SluiceError):
    """The provider's account or the budget does not allow calls. `retry_after_s`: when to look again."""

    code = "account"

    def __init__(self, message: str, retry_after_s: float = HOLD_SECONDS) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class KeyRefused(AccountError):
    """The provider refused the key (401 or 403)."""

    code = "key_refused"


class AccountSpent(AccountError):
    """The provider says that the account has no credit (429 with a billing code)."""

    code = "account_spent"


class ModelUnknown(AccountError):
    """The provider knows no such model or path (404)."""

    code = "model_unknown"


class BudgetSpent(AccountError):
    """A budget of our own is used up; `retry_after_s` is the rest of its period, `when_spent` what its owner wants."""

    code = "budget_spent"

    def __init__(
        self, message: str, retry_after_s: float, when_spent: Literal["stop", "park", "degrade"] = "stop"
    ) -> None:
        super().__init__(message, retry_after_s)
        self.when_spent = when_spent


class AnswerLater(SluiceError):
    """The answer comes from a Batch job, in hours. `again_s`: when to ask for it again."""

    def __init__(self, again_s: float) -> None:
        super().__init__("waits for a Batch job")
        self.again_s = again_s


class ProviderUnavailable(SluiceError):
    """No answer after the call's own bounded retries. `retry_after_s`: a hint for the next try."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class AnswerError(SluiceError):
    """The model answered, but not what was asked."""


class AnswerRefused(AnswerError):
    """The model declined to answer."""


class AnswerInvalid(AnswerError):
    """The answer does not fit the schema, or items are missing even when asked alone."""


class RequestRefused(AnswerError):
    """The provider does not take this request (400): too long, or filtered."""
