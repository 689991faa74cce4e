"""Ids of messages as they are typed: `topic/partition/offset`."""

from processors.errors import ConfigurationError


def topic_of(message_id: str) -> str:
    """The topic of the message. Raises ConfigurationError where it is no id."""
    topic, *place = message_id.rsplit("/", 2)
    if not topic or len(place) != 2 or not all(number.isdecimal() for number in place):
        raise ConfigurationError(
            f"'{message_id}' is no message id: write topic/partition/offset, as `sluice tail decisions` shows it"
        )
    return topic
