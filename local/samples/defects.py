"""Records that are no messages, as every real topic has some."""

from dataclasses import dataclass
from typing import Literal

from local.samples.sample import Sample, StreamName, moment

DefectName = Literal["undecodable", "unknown_shape", "empty", "tombstone"]


@dataclass(frozen=True, slots=True)
class Defect:
    """What is wrong, when it comes, and the record's value."""

    name: DefectName
    at_s: float
    value: bytes | None


DEFECTS: dict[StreamName, tuple[Defect, ...]] = {
    "logs": (
        Defect("undecodable", 312.4, b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6"),
        Defect("unknown_shape", 655.0, b'{"metric":"cpu_seconds_total","value":8123.4,"cores":[0,1,2,3]}'),
        Defect("empty", 901.7, b""),
        Defect("undecodable", 1333.9, b"\x00\x9c\xff\xfe\x8d\x00\x01\x02\xc3\x28\xa0\xa1\x00\x00\xf0\x28\x8c\xbc"),
        Defect("unknown_shape", 1502.2, b"[[17,42],[18,40],[19,44]]"),
        Defect("tombstone", 1911.0, None),
    ),
    "emails": (
        Defect("undecodable", 744.1, b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x02\x80\x00\x00\x01\xe0\x08\x06"),
        Defect("unknown_shape", 1261.5, b'{"mailbox":"support","unread":412,"quota_used":0.71}'),
        Defect("tombstone", 2002.8, None),
    ),
    "dialogues": (
        Defect("unknown_shape", 1120.6, b'{"event":"typing","since_ms":1800}'),
        Defect("tombstone", 1844.3, None),
    ),
}


def sample(defect: Defect, stream: StreamName, number: int) -> Sample:
    """The defect as one of the stream's samples; it has a key, as the neighbours have."""
    return Sample(
        id=f"{stream}-{number:05}",
        stream=stream,
        source="brightwick/unknown",
        time=moment(defect.at_s),
        payload=None,
        label=None,
        labels={"defect": defect.name},
        key=f"{stream}-{defect.name}".encode(),
        value=defect.value,
    )
