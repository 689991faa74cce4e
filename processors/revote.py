"""Whether an answer of a batch deserves another vote, in other company, and what all votes say together.

Among others a message is answered worse than alone. A model that is asked again repeats most of its errors, but not
those that company or chance made, and it is surer where it is right. So what is least sure of a stream's batches is
asked about once more, and of two answers that differ the surer one stands. Simulated with errors that correlate (FACTS,
"A stand-in whose errors are like a model's"), batches of 16 lose 2.3 points of accuracy beside calls about one message;
with a second vote on a fifth of the answers 0.9, on two fifths 0.4, on three fifths 0.1. Majorities of three gain about
half of that, so a third vote is for what would climb alone: a vote costs a share of one batch, an escalation a hundred.

The caller asks for votes one after the other:

    votes = [first]
    while revote.wanted(votes, cost_of_a_vote, cost_of_an_escalation, share):
        votes.append(...)  # Batches.put(item) again
    verdict = revote.settle(votes)
"""

import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from topics.messages import Verdict

VOTES_MAX = 3
_SAVED_FIRST = 0.3  # escalations that votes save, before any came back
_SAVED_WEIGHT = 20.0  # so many votes the first guess counts for
_FORGETS = 0.995  # a vote: the last two hundred or so count
_STEPS = 1_000  # that confidences are told apart by
_FADES_AFTER = 2_000  # answers; then all that came before counts half
_SURE_MAX = 0.9995  # of log-odds: no single vote counts for more


class Revote:
    """Of one stream. Answers under `confidence_min` climb, as the policy says."""

    def __init__(self, confidence_min: float, rng: random.Random) -> None:
        self._confidence_min = confidence_min
        self._least = _Least(rng)
        self._saved = _SAVED_FIRST * _SAVED_WEIGHT
        self._tried = _SAVED_WEIGHT

    def wanted(
        self, votes: Sequence[Verdict], vote_usd_micros: float, escalation_usd_micros: float, share: float = 0.0
    ) -> bool:
        """Whether to ask once more, given the votes so far, what one costs, and what an escalation costs in the mean.
        A vote costs about what the first answer did. `share`: of first answers, the least sure, that get a second vote
        in any case. It is to be asked once for each number of votes, since it counts the first ones."""
        if len(votes) >= VOTES_MAX:
            return False
        if len(votes) == 1 and self._least.has(_sure(votes[0]), share):
            return True
        if len(votes) > 1 and len({vote.label for vote in votes}) == 1:
            return False
        climbs = self._settled(votes)[1] < self._confidence_min
        return climbs and self._saved / self._tried * escalation_usd_micros > vote_usd_micros

    def settle(self, votes: Sequence[Verdict]) -> Verdict:
        """What the votes say together: the label with most log-odds behind it, with its surest vote's fields. Votes
        that agree are as sure as they are in the mean, since most of their errors are the same ones; of others each
        takes from the other's log-odds."""
        best, confidence = self._settled(votes)
        if len(votes) == 1:
            return best
        if _sure(votes[0]) < self._confidence_min:
            self._saved = self._saved * _FORGETS + (confidence >= self._confidence_min)
            self._tried = self._tried * _FORGETS + 1
        return replace(best, confidence=round(confidence, 4))

    def _settled(self, votes: Sequence[Verdict]) -> tuple[Verdict, float]:
        if len(votes) == 1:
            return votes[0], _sure(votes[0])
        behind: dict[str, float] = defaultdict(float)
        for vote in votes:
            behind[vote.label] += max(0.0, _log_odds(vote))
        best = max(votes, key=lambda vote: (behind[vote.label], _sure(vote)))
        if len(behind) == 1:
            return best, _probability(sum(map(_log_odds, votes)) / len(votes))
        against = sum(behind.values()) - behind[best.label]
        return best, min(_sure(best), _probability(behind[best.label] - against))


class _Least:
    """Which answers are of the least sure share of the latest ones."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._counts = [0.0] * (_STEPS + 1)  # by confidence
        self._total = 0.0
        self._came = 0

    def has(self, confidence: float, share: float) -> bool:
        """Whether it is of that share; it counts from now on. Of equals at the border as many are drawn as belong."""
        step = round(min(max(confidence, 0.0), 1.0) * _STEPS)
        self._came += 1
        if self._came % _FADES_AFTER == 0:
            self._counts = [count / 2 for count in self._counts]
            self._total /= 2
        self._counts[step] += 1
        self._total += 1
        room = share * self._total - sum(self._counts[:step])
        return room > 0 and self._rng.random() * self._counts[step] < room


def _sure(vote: Verdict) -> float:
    return vote.confidence if vote.confidence is not None else 1.0


def _log_odds(vote: Verdict) -> float:
    sure = min(max(_sure(vote), 1 - _SURE_MAX), _SURE_MAX)
    return math.log(sure / (1 - sure))


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))
