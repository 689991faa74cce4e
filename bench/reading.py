"""Records a second that one core normalises, by shape, beside the least that any reader has to do."""

from collections.abc import Callable, Mapping, Sequence
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import orjson

from bench import messages
from bench.cost import compare
from bench.result import Result
from local.demo import policy as demo_policy
from local.drive import Fed
from processors.normalise.normaliser import Normaliser, normaliser_for

ABOUT = (
    "CPU of one core, best of five rounds, sample texts in memory. Beside it the floor: bytes.decode for text, "
    "orjson.loads for JSON, the standard library's parser (policy=default, one part's get_content) for mail."
)
_COLUMNS = {"records_per_s": "records/s a core", "floor_records_per_s": "the floor", "ratio": "CPU × the floor"}


def run(seconds: float = 1.5) -> Result:
    """`seconds` for each shape and again for its floor."""
    policy = demo_policy.load()
    lines = {}
    for shape, records in messages.by_shape().items():
        stream = policy.stream_of(records[0].topic)
        normaliser = normaliser_for(stream, policy.streams[stream])
        values = [record.value for record in records if record.value is not None]
        costs = compare({"ours": _reading(normaliser, records), "floor": _each(_FLOORS[shape], values)}, seconds)
        ours, floor = costs["ours"].cpu_us_each, costs["floor"].cpu_us_each
        lines[shape] = {"records_per_s": 1e6 / ours, "floor_records_per_s": 1e6 / floor, "ratio": ours / floor}
    return Result(suite="reading", about=ABOUT, columns=_COLUMNS, lines=lines)


def _reading(normaliser: Normaliser, records: Sequence[Fed]) -> Callable[[], int]:
    def work() -> int:
        for record in records:
            normaliser.read(record)
        normaliser.forget(records[0].topic, 0)  # conversations begin anew, else every window would be full
        return len(records)

    return work


def _each(read: Callable[[bytes], object], values: Sequence[bytes]) -> Callable[[], int]:
    def work() -> int:
        for value in values:
            read(value)
        return len(values)

    return work


def _standard_mail(value: bytes) -> Any:
    mail = message_from_bytes(value, policy=default)
    assert isinstance(mail, EmailMessage)
    body = mail.get_body(("plain", "html"))
    return None if body is None else body.get_content()


_FLOORS: Mapping[str, Callable[[bytes], object]] = {
    "raw log line": bytes.decode,
    "JSON log": orjson.loads,
    "mail, plain": _standard_mail,
    "mail with HTML": _standard_mail,
    "dialogue turn": orjson.loads,
}
