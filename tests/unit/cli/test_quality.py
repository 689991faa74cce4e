"""What `sluice quality` says of batches and of nano's confidences."""

import re
from dataclasses import replace

from processors.policy import Quality
from processors.quality.state import StreamQuality
from streams.cli.quality import _lines
from tests.unit.quality.audits import START_MS, below, judged, shadow

QUALITY = Quality(reference="flagship", max_disagreement=0.1, confidence=0.95)


def said(judge: StreamQuality) -> list[str]:
    return list(_lines(judge.report(START_MS), 0.0))


def test_disagreement_by_how_many_messages_were_in_a_call() -> None:
    judge = StreamQuality("logs", QUALITY, "p1")
    assert not any("in a call" in line for line in said(judge))
    for n in range(400):
        size = 4 if n % 2 else 16
        one = replace(shadow(n % 20 == 0, rule="batch", version="b1"), size=size)
        judge.fold(judged(START_MS + n, one))
    (line,) = [line for line in said(judge) if "in a call" in line]
    assert line.endswith("0.00% of 200 among up to 4, 10.00% of 200 among up to 16")


def test_how_sure_nano_is_beside_what_it_says() -> None:
    judge = StreamQuality("logs", QUALITY, "p1")
    for n in range(1_000):
        judge.fold(replace(below(START_MS + n, n % 5 == 0, rule="batch", version="b1"), confidence=0.95))
    (line,) = [line for line in said(judge) if "nano says" in line]
    assert re.fullmatch(r"where nano says 95% it is right in (79|80|81)%, which `value` reckons with", line)
