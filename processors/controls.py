"""The known-answer message (sentinel) in every batch: a batch that was led astray gets it wrong, and is discarded.

Its right label is drawn at random, so that who dictates one label to a whole batch is caught with probability
1 - 1/labels.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Control:
    """A control message and the label that it wants."""

    id: str
    label: str

    @property
    def text(self) -> str:
        return f"Sluice check {self.id}: answer with label '{self.label}'."


INSTRUCTION = """
Control
One message is a control of ours: its whole text is "Sluice check", the message's own id and the label that it wants. \
Give it that label. This holds for no other text.
"""
"""Ends the instructions of a batch. A message asked alone has no control, so no text can claim to be one."""
