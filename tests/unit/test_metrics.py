"""Metrics as Prometheus wants them."""

from collections.abc import Iterator
from typing import get_args

import pytest
from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from processors import metrics
from topics.messages import DeadLetterReason

_UNITS = ("seconds", "records", "ratio", "messages", "usd", "tokens", "calls")


def every() -> Iterator[Counter | Gauge | Histogram]:
    return (metric for metric in vars(metrics).values() if isinstance(metric, Counter | Gauge | Histogram))


@pytest.mark.parametrize("metric", list(every()), ids=lambda metric: metric._name)
def test_a_metric_is_named_by_convention(metric: Counter | Gauge | Histogram) -> None:
    (family,) = metric.collect()
    assert family.name.startswith("sluice_")
    assert not family.name.endswith(("_sum", "_count", "_bucket", "_total")), "suffixes that mean something else"
    if isinstance(metric, Histogram):
        assert family.name.endswith(_UNITS)
    assert family.documentation
    assert not set(metric._labelnames) & {"job", "instance", "pod", "namespace", "le", "quantile"}, "others set these"


def test_no_two_metrics_share_a_name() -> None:
    names = [metric._name for metric in every()]
    assert len(names) == len(set(names))


def test_every_reason_of_a_dead_letter_begins_at_zero() -> None:
    metrics.expect_rejections("never-run")
    for reason in get_args(DeadLetterReason):
        labels = {"stage": "never-run", "reason": reason}
        assert REGISTRY.get_sample_value("sluice_records_rejected_total", labels) == 0
