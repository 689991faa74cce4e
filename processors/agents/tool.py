"""What every tool shares: the contract, and how it refuses."""

from typing import Any, Protocol

from pydantic import BaseModel

from topics.messages import Escalation


class Refused(Exception):
    """The tool does not do what was asked; the message tells the model why, and what it may ask instead."""


class Tool(Protocol):
    """Something an agent may look up; it changes nothing. Called for any number of escalations at once."""

    @property
    def name(self) -> str: ...

    @property
    def about(self) -> str:
        """What it gives and when it helps, for the model."""
        ...

    @property
    def Arguments(self) -> type[BaseModel]:
        """What the model fills in. Strict: no field has a default."""
        ...

    async def call(self, arguments: Any, escalation: Escalation) -> object:
        """A value that orjson can write. Raises Refused. Cancelled when its time is over."""
        ...
