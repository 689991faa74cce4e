"""What a worker tells the kubelet and Prometheus is one thing: probes and metrics of the same health."""

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams import probes
from streams.engine.settings import Health


def health(*, joined: bool = True, partitions: int = 4, poll_age_s: float = 0.1) -> Health:
    return Health(joined=joined, partitions=partitions, in_flight=0, held=None, poll_age_s=poll_age_s)


@pytest.mark.parametrize(
    ("stages", "live", "ready"),
    [
        ({"triage": health(), "mini": health()}, 200, 200),
        ({"triage": health(), "mini": health(joined=False)}, 200, 503),
        ({"triage": health(poll_age_s=31.0), "mini": health()}, 503, 503),
    ],
    ids=["well", "not joined", "not polling"],
)
async def test_one_stage_that_is_not_well_is_enough(stages: dict[str, Health], live: int, ready: int) -> None:
    async with probes.serve("127.0.0.1", 0, lambda: stages) as port, aiohttp.ClientSession() as session:
        for path, expected in {"/live": live, "/ready": ready}.items():
            async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                assert answer.status == expected


async def test_metrics_say_what_the_probes_say() -> None:
    stages = {"triage": health(partitions=3), "mini": health(joined=False), "flagship": health(poll_age_s=31.0)}
    async with (
        probes.serve("127.0.0.1", 0, lambda: stages) as port,
        aiohttp.request("GET", f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        text = await answer.text()
    told = {
        (sample.name, sample.labels["stage"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in ("sluice_stage_ready", "sluice_partitions_assigned", "sluice_poll_age_seconds")
    }
    assert [told["sluice_stage_ready", stage] for stage in stages] == [1, 0, 0]
    assert told["sluice_partitions_assigned", "triage"] == 3
    assert told["sluice_poll_age_seconds", "flagship"] == 31.0
