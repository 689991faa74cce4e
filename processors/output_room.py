"""How many output tokens a call is given. Providers charge their limits by the bound, not by the use, so it is tight:
learned from what came back, with a margin, and raised after an answer that was cut."""

_ENVELOPE_TOKENS = 16  # around the answers; and no provider takes a lower bound
_MARGIN = 1.5  # over the longest answers of late
_FORGETS = 0.98  # a call: an item that was long once is not expected for ever
_ALONE = 4  # times the room when a message is asked alone: an answer that is cut would be nobody's
_RAISED_MAX = 8  # times what was thought at first
_LEARNS_AFTER = 3  # calls, before less is given than was thought at first


class OutputRoom:
    """Of one stream. `item_tokens`: one answer, before anything came back, on the safe side."""

    def __init__(self, item_tokens: int) -> None:
        self._first = float(item_tokens)
        self._longest = float(item_tokens)
        self._raised = 1.0
        self._heard = 0

    def tokens(self, items: int) -> int:
        """The bound of a call about so many items, controls included."""
        item = self._first
        if self._heard >= _LEARNS_AFTER:
            item = min(item, self._longest * _MARGIN)
        item *= self._raised * (_ALONE if items == 1 else 1)
        return _ENVELOPE_TOKENS + round(item * items + 0.5)

    def heard(self, items: int, output_tokens: float, *, complete: bool) -> None:
        """What a call took. `complete`: it was not cut at its bound."""
        if not complete:
            self._raised = min(self._raised * 2, _RAISED_MAX)
            return
        self._raised = max(1.0, self._raised * _FORGETS)
        if items == 1:
            return  # what is around its answer is most of it, and it has room to spare
        used = output_tokens / items  # what is around the answers is part of the margin
        self._longest = max(used, self._longest * _FORGETS if self._heard else used)
        self._heard += 1
