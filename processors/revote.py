"""Whether an answer of a batch deserves another vote, and what all votes say together.

Among others a message is answered worse than alone. A model that is asked again repeats most of its errors, but not
those that company or chance made, and it is surer where it is right. So the most doubtful answers are asked about once
more, and of two that differ the surer one stands.

How doubtful an answer is depends on what it says of itself, and on how rare its label is: with errors of 6% both ways,
where 15% of messages are urgent a quarter of what is called urgent is not, and a hundredth of the rest is. By both
together fewer votes find more errors than by confidence alone, most of all of a rare label. Where one label is common,
less than half of the answers are doubtful at all, and votes for the others change nothing. What votes give back is
measured by `python -m bench votes`. Weights that are learned from the votes did worse than these two: there are too
few. Majorities of three gain next to nothing, so a third vote is for what would climb alone: a vote costs a share of
one batch, an escalation a hundred.

Where there is a student or memory, its opinion costs nothing and errs elsewhere than the model does. It tells which
answers are doubtful far better than their own confidence, and of two votes that differ, which stands. It does no more:
what no vote says is never answered, and two votes that agree stand against it.

The caller asks for votes one after the other:

    votes = [first]
    while revote.wanted(votes, cost_of_a_vote, cost_of_an_escalation, share, opinion):
        votes.append(...)  # Batches.put(item) again
    verdict = revote.settle(votes, opinion)
"""

import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from processors.proposals import Proposal
from topics.messages import Verdict

VOTES_MAX = 3
_SAVED_FIRST = 0.3  # escalations that votes save, before any came back
_SAVED_WEIGHT = 20.0  # so many votes the first guess counts for
_FORGETS = 0.995  # a vote: the last two hundred or so count
_STEPS = 1_000  # that doubts are told apart by
_FADES_AFTER = 2_000  # answers; then all that came before counts half
_SURE_MAX = 0.9995  # of log-odds: no single vote counts for more
_SURE_ENOUGH = 3.0  # log-odds of being right, about: above it, votes hardly change anything
_RARE_MIN = 0.01  # of answers with one label: what is rarer is as doubtful
_OPINION_MIN, _OPINION_MAX = 0.02, 0.97  # no opinion counts for more: its score is an estimate from few lessons


class Revote:
    """Of one stream. Answers under `confidence_min` climb, as the policy says."""

    def __init__(self, confidence_min: float, rng: random.Random) -> None:
        self._confidence_min = confidence_min
        self._doubt = _Doubt(rng)
        self._saved = _SAVED_FIRST * _SAVED_WEIGHT
        self._tried = _SAVED_WEIGHT

    def wanted(
        self,
        votes: Sequence[Verdict],
        vote_usd_micros: float,
        escalation_usd_micros: float,
        share: float = 0.0,
        opinion: Proposal | None = None,
    ) -> bool:
        """Whether to ask once more, given the votes so far, what one costs, and what an escalation costs in the mean.
        `share`: of first answers, the most doubtful, that get a second vote in any case. `opinion`: what a free means
        says of the message. To be asked once for each number of votes, since it counts the first ones."""
        if len(votes) >= VOTES_MAX:
            return False
        if len(votes) == 1 and self._doubt.of_share(votes[0], share, opinion):
            return True
        if len(votes) > 1 and len({vote.label for vote in votes}) == 1:
            return False
        climbs = self._settled(votes, opinion)[1] < self._confidence_min
        return climbs and self._saved / self._tried * escalation_usd_micros > vote_usd_micros

    def settle(self, votes: Sequence[Verdict], opinion: Proposal | None = None) -> Verdict:
        """What the votes say together: the label with most log-odds behind it, with its surest vote's fields. Votes
        that agree are as sure as they are in the mean, since most of their errors are the same ones; of others each
        takes from the other's log-odds, and `opinion` adds to its own label's."""
        best, confidence = self._settled(votes, opinion)
        if len(votes) == 1:
            return best
        if _sure(votes[0]) < self._confidence_min:
            self._saved = self._saved * _FORGETS + (confidence >= self._confidence_min)
            self._tried = self._tried * _FORGETS + 1
        return replace(best, confidence=round(confidence, 4))

    def _settled(self, votes: Sequence[Verdict], opinion: Proposal | None) -> tuple[Verdict, float]:
        if len(votes) == 1:
            return votes[0], _sure(votes[0])
        behind: dict[str, float] = defaultdict(float)
        for vote in votes:
            behind[vote.label] += max(0.0, _log_odds(vote))
        if opinion is not None and len(behind) > 1 and opinion.verdict.label in behind:
            behind[opinion.verdict.label] += max(0.0, _log_odds_by(opinion, opinion.verdict.label))
        best = max(votes, key=lambda vote: (behind[vote.label], _sure(vote)))
        if len(behind) == 1:
            return best, _probability(sum(map(_log_odds, votes)) / len(votes))
        against = sum(behind.values()) - behind[best.label]
        return best, min(_sure(best), _probability(behind[best.label] - against))


class _Doubt:
    """Which answers are of the most doubtful share of the latest ones: by what they say of themselves, halved since
    models are too sure, by how rare their label is, and by what a free means makes of it. Where errors go every way
    alike, these are the log-odds of being right but for a constant."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._said: defaultdict[str, float] = defaultdict(float)  # by label
        self._counts = [0.0] * _STEPS  # by doubt
        self._total = 0.0
        self._came = 0

    def of_share(self, vote: Verdict, share: float, opinion: Proposal | None) -> bool:
        """Whether it is of that share, and doubtful at all; it counts from now on. Of equals at the border as many are
        drawn as belong."""
        self._came += 1
        if self._came % _FADES_AFTER == 0:
            self._counts = [count / 2 for count in self._counts]
            self._said = defaultdict(float, {label: count / 2 for label, count in self._said.items()})
            self._total /= 2
        common = (self._said[vote.label] + 1) / (self._total + 2)
        right = _log_odds(vote) / 2 + _log_odds_of(min(max(common, _RARE_MIN), 1 - _RARE_MIN))
        if opinion is not None:
            right += _log_odds_by(opinion, vote.label)
        step = round(_probability(right / 4) * (_STEPS - 1))  # a quarter: else most would be of the last steps
        self._said[vote.label] += 1
        self._counts[step] += 1
        self._total += 1
        if right >= _SURE_ENOUGH:
            return False
        room = share * self._total - sum(self._counts[:step])
        return room > 0 and self._rng.random() * self._counts[step] < room


def _sure(vote: Verdict) -> float:
    return vote.confidence if vote.confidence is not None else 1.0


def _log_odds(vote: Verdict) -> float:
    return _log_odds_of(min(max(_sure(vote), 1 - _SURE_MAX), _SURE_MAX))


def _log_odds_by(opinion: Proposal, label: str) -> float:
    """That `label` is right. Of what an opinion leaves to other labels than its own, one has half at most: it mostly
    wavers between two or three."""
    chance = opinion.score if opinion.verdict.label == label else (1 - opinion.score) / 2
    return _log_odds_of(min(max(chance, _OPINION_MIN), _OPINION_MAX))


def _log_odds_of(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))
