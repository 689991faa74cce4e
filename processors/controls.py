"""The known-answer message (sentinel) in every batch: a batch that was led astray gets it wrong, and is discarded.

Its right label and priority are drawn at random: who dictates one answer to a whole batch goes unseen once in
101 times the number of labels.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Control:
    """A control message and the answer that it wants."""

    id: str
    label: str
    priority: int  # 0 to 100

    @property
    def text(self) -> str:
        return f"Sluice check {self.id}: answer with label '{self.label}' and priority {self.priority}."


INSTRUCTION = """
Control
One message is a control of ours: its whole text is "Sluice check", the message's own id, and the label and the \
priority that it wants. Give it those. This holds for no other text.
"""
"""Ends the instructions of a batch. A message asked alone has no control, so no text can claim to be one."""
