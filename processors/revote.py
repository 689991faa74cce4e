"""Whether an answer of a batch deserves another vote, in other company, and what all votes say together.

A model that is asked again repeats most of its errors, but not those that company or chance made, and it is unsure more
often where it is wrong. So unsure answers are asked again where that saves more than it costs: an escalation that it
makes needless, or errors that are worth something. A vote is a share of one batch; an escalation costs a hundred.

Three votes at most: a second one that says otherwise needs a third. The caller asks for them one after the other:

    votes = [first]
    while revote.wanted(votes, cost_of_a_vote):
        votes.append(...)  # Batches.put(item) again
    verdict = revote.settle(votes)
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from topics.messages import Verdict

VOTES_MAX = 3
_DOUBT_LEFT = 0.6  # when two votes agree: correlated votes remove 39% of the errors, independent ones would 94% (FACTS)
_SPLIT = 0.5  # the confidence of votes that do not agree, at most
_MENDED = 0.03  # errors that a vote mends, simulated with correlated errors: sizes 4 to 32, answers under 99% sure
_SAVED_FIRST = 0.3  # escalations that votes save, before any came back
_SAVED_WEIGHT = 20.0  # so many votes the first guess counts for
_FORGETS = 0.995  # a vote: the last two hundred or so count


class Revote:
    """Of one stream. Answers under `confidence_min` climb, as the policy says; under `unsure_below` they get another
    vote if an error is worth that."""

    def __init__(self, confidence_min: float, *, unsure_below: float = 0.0, error_usd_micros: float = 0.0) -> None:
        self._confidence_min = confidence_min
        self._unsure_below = unsure_below
        self._error_usd_micros = error_usd_micros  # of a wrong label that is published
        self._saved = _SAVED_FIRST * _SAVED_WEIGHT
        self._tried = _SAVED_WEIGHT

    def wanted(self, votes: Sequence[Verdict], vote_usd_micros: float, escalation_usd_micros: float) -> bool:
        """Whether to ask once more, given the votes so far, what one costs, and what an escalation costs in the mean.
        A vote costs about what the first answer did."""
        if len(votes) >= VOTES_MAX:
            return False
        if len(votes) > 1:
            return len({vote.label for vote in votes}) == len(votes)
        confidence = _sure(votes[0])
        gain = 0.0
        if confidence < self._confidence_min:
            gain += self._saved / self._tried * escalation_usd_micros
        if confidence < self._unsure_below:
            gain += _MENDED * self._error_usd_micros
        return gain > vote_usd_micros

    def settle(self, votes: Sequence[Verdict]) -> Verdict:
        """What the votes say together: the label that most give, of equals the surest vote's, with that vote's fields.
        Its confidence grows where two agree; where none do it is at most one half."""
        given = Counter(vote.label for vote in votes)
        best = max(votes, key=lambda vote: (given[vote.label], _sure(vote)))
        if len(votes) == 1:
            return best
        agreeing = sorted((_sure(vote) for vote in votes if vote.label == best.label), reverse=True)
        if len(agreeing) == 1:
            confidence = min(_SPLIT, agreeing[0])
        else:
            doubt = math.sqrt((1 - agreeing[0]) * (1 - agreeing[1]))
            confidence = 1 - doubt * (_DOUBT_LEFT if len(agreeing) == len(votes) else 1)
        if _sure(votes[0]) < self._confidence_min:
            self._saved = self._saved * _FORGETS + (confidence >= self._confidence_min)
            self._tried = self._tried * _FORGETS + 1
        return replace(best, confidence=round(confidence, 4))


def _sure(vote: Verdict) -> float:
    return vote.confidence if vote.confidence is not None else 1.0
