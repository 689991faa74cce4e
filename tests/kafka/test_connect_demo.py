"""`sluice connect-demo`, which kills a Connect worker and a Sluice worker and compares what comes out."""

import pytest
from click.testing import CliRunner

from local import postgres
from local.connect.demo import connect_demo
from streams import settings
from tests.conftest import IN_DOCKER


@pytest.mark.slow
@pytest.mark.timeout(420)  # it runs eight processes; on a busy machine their starts alone take a minute
@pytest.mark.skipif(IN_DOCKER, reason="SLUICE_KAFKA=docker: the demonstration starts the broker from its jars")
def test_nothing_is_lost_or_doubled_when_connect_and_a_worker_are_killed() -> None:
    """It ends with exit code 1 where a count differs."""
    try:
        postgres.binaries()
    except postgres.PostgresMissing as missing:
        pytest.skip(str(missing))
    said = CliRunner().invoke(connect_demo, ["--messages", "1000"], obj=settings.runtime(None))
    assert said.exit_code == 0, f"{said.output}{said.exception}"
    assert said.output.count("kill -9") == 2
    assert "every decision is one row" in said.output
