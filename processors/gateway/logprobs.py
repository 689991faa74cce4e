"""How sure a model is of a label by the tokens that it wrote, where its server tells their log-probabilities."""

import math
import re
from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import Any

_ANSWER = re.compile(r'"([0-9]{3})([A-Z]+)[0-9]{3}"')  # processors/answer_form.py, as JSON


def sure(tokens: Any) -> dict[str, float]:
    """Key → the probability of its label's code, given what stands before it: the product over the code's tokens.

    `tokens`: a list of `{"token": …, "logprob": …}`, as both APIs give it. Left out is an answer whose code shares a
    token with how sure it is, and everything where the list is not what it should be. Of a key that is there twice, the
    first.
    """
    found: dict[str, float] = {}
    try:
        words = [str(one["token"]) for one in tokens]
        logs = [min(0.0, float(one["logprob"])) for one in tokens]
    except (KeyError, TypeError, ValueError):
        return found
    ends = list(accumulate(map(len, words)))
    for match in _ANSWER.finditer("".join(words)):
        begin, end = match.span(2)
        first, last = bisect_right(ends, begin), bisect_left(ends, end)
        if ends[last] == end:
            found.setdefault(match[1], round(math.exp(sum(logs[first : last + 1])), 4))
    return found
