"""Records to messages, by the kind of the stream."""

from typing import Protocol, assert_never

from processors.errors import ConfigurationError
from processors.items import Glimpse, Ignored, Item
from processors.normalise.dialogue import DialogueNormaliser
from processors.normalise.log import LogNormaliser
from processors.normalise.mail import MailNormaliser
from processors.policy import Session, Stream
from topics.inputs import LOG_FORMATS
from topics.messages import Rejected
from topics.records import Record


class Normaliser(Protocol):
    """Called by triage's stage on the event loop, in offset order a partition. Nothing here raises."""

    lookback: int  # records before the committed offset that `recall` wants to see; 0 for none
    session: Session | None  # logs: how the lines whose Item names a session are judged together

    def glimpse(self, record: Record) -> Glimpse | None:
        """Enough to know a message again that was decided before, where that is cheaper than to read it; remembers
        nothing. None: it has to be read. For the same record, what `read` gives has the same values."""
        ...

    def read(self, record: Record) -> Item | Ignored | Rejected:
        """What the record is about. Remembers what later records of the partition are judged with."""
        ...

    def recall(self, record: Record) -> None:
        """A record that was decided before: remembers, decides nothing."""
        ...

    def forget(self, topic: str, partition: int) -> None:
        """The partition is somebody else's now: drops what was remembered for it."""
        ...


def normaliser_for(name: str, stream: Stream) -> Normaliser:
    """The stream's normaliser. Raises ConfigurationError for a format that the kind does not have."""
    if stream.kind != "log" and stream.format in LOG_FORMATS:
        raise ConfigurationError(
            f"streams.{name}.format: '{stream.format}' is a format of log lines, but the stream's kind is "
            f"'{stream.kind}'. Use auto, plain, string or connect-json, or kind = \"log\"."
        )
    match stream.kind:
        case "log":
            return LogNormaliser(name, stream)
        case "email":
            return MailNormaliser(name, stream)
        case "dialogue":
            return DialogueNormaliser(name, stream)
        case _:
            assert_never(stream.kind)
