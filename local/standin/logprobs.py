"""Log-probabilities of an answer's tokens: a label's code is as likely as the answer says that it is sure, all else is
nearly certain. They are as overconfident as what is stated is."""

import math
import re
from typing import Any

from local.standin.problems import invalid

_TOKEN = re.compile(r"[0-9]{1,3}|[A-Za-z]+|\s+|[^0-9A-Za-z\s]+")
_CODE = re.compile(r'(?<="[0-9]{3})[A-Z]+(?=([0-9]{2,3})")')  # of a label, in "417B932"
_CERTAIN = 0.9999
_LEAST = 0.005  # of a code that is given no chance


def check(asked: bool, effort: str, param: str) -> None:
    """They are told only where the model does not reason. Raises Problem."""
    if asked and effort != "none":
        raise invalid(
            f"Unsupported parameter: '{param}' is not supported with reasoning effort '{effort}'.",
            param=param,
            code="unsupported_parameter",
        )


def tokens(text: str) -> list[dict[str, Any]]:
    """The text's tokens, as both APIs tell them."""
    codes = {match.start(): max(int(match[1]) / 10 ** len(match[1]), _LEAST) for match in _CODE.finditer(text)}
    return [
        {
            "token": match[0],
            "bytes": list(match[0].encode()),
            "logprob": math.log(codes.get(match.start(), _CERTAIN)),
            "top_logprobs": [],
        }
        for match in _TOKEN.finditer(text)
    ]
