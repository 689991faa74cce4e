"""How much surer nano says it is than it is, by audits of what it said.

A confidence with its log-odds divided by a temperature is the chance of being right (Guo et al., On Calibration of
Modern Neural Networks, 2017). The temperature is the likeliest one, of what the reference made of answers with stated
confidences. The reference errs, too, which makes it a little too high: a message then climbs rather than not.
"""

import math
from typing import Any

_AUDITS_MIN = 200  # before, models are taken at their word
_AUDITS_MAX = 8_000  # then all that came before counts half: models change
_ANEW_EVERY = 50  # audits
_BIN = 0.25  # of log-odds
_BINS_MAX = 28  # on each side of an even chance: 0.999
_TEMPERATURES = tuple(number / 10 for number in range(5, 61))


class Calibration:
    """Of one stream."""

    def __init__(self) -> None:
        self.temperature = 1.0
        self._counts: dict[int, tuple[float, float]] = {}  # by stated log-odds: answers that agreed, and that did not
        self._total = 0.0
        self._since = 0

    def add(self, confidence: float, agrees: bool) -> None:
        """An answer that nano stated this confidence of, 0 to 1."""
        bound = 1 / (1 + math.exp(_BIN * _BINS_MAX))
        sure = min(max(confidence, bound), 1 - bound)
        place = round(math.log(sure / (1 - sure)) / _BIN)
        agreed, disagreed = self._counts.get(place, (0.0, 0.0))
        self._counts[place] = (agreed + agrees, disagreed + (not agrees))
        self._total += 1
        if self._total >= _AUDITS_MAX:
            self._counts = {place: (one / 2, other / 2) for place, (one, other) in self._counts.items()}
            self._total /= 2
        self._since += 1
        if self._since >= _ANEW_EVERY and self._total >= _AUDITS_MIN:
            self._since = 0
            self.temperature = max(_TEMPERATURES, key=self._log_likelihood)

    def dump(self) -> list[Any]:
        """Plain JSON."""
        counts = [[place, agreed, disagreed] for place, (agreed, disagreed) in self._counts.items()]
        return [self.temperature, self._since, counts]

    @classmethod
    def load(cls, state: list[Any]) -> "Calibration":
        loaded = cls()
        loaded.temperature, loaded._since = float(state[0]), int(state[1])
        loaded._counts = {int(place): (float(agreed), float(disagreed)) for place, agreed, disagreed in state[2]}
        loaded._total = sum(map(sum, loaded._counts.values()))
        return loaded

    def _log_likelihood(self, temperature: float) -> float:
        told = 0.0
        for place, (agreed, disagreed) in self._counts.items():
            log_odds = place * _BIN / temperature
            told -= agreed * math.log1p(math.exp(-log_odds)) + disagreed * math.log1p(math.exp(log_odds))
        return told
