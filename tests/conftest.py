"""One real broker for each process that runs tests, and a corner of it for every test."""

import contextlib
import faulthandler
import fcntl
import gc
import os
import signal
import warnings
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from local import container, jars
from local import kafka as local_kafka
from local.container import ContainerKafka
from local.kafka import LocalKafka
from processors.errors import SluiceError
from tests.chaos import table
from tests.kafka.bus import Bus

IN_DOCKER = os.environ.get("SLUICE_KAFKA") == "docker"
_NEEDS_BROKER = Path(__file__).parent / "kafka"
_numbers = count(1)


def pytest_configure() -> None:
    """Tests neither reach nor heed what the caller's environment points at. On SIGUSR1 a run that hangs says where."""
    faulthandler.register(signal.SIGUSR1, file=os.dup(2), all_threads=True)  # 2 itself is captured during a test
    # No two workers pick the same port between looking whether it is free and listening on it
    first = 20_000 + 1_000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 12)
    local_kafka._PORTS = range(first, first + 1_000)
    # How long an example takes is the machine's, not the code's
    settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")
    for name in [name for name in os.environ if name.startswith(("KAFKA_", "OPENAI_", "SCHEMA_REGISTRY_"))]:
        del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _NEEDS_BROKER in item.path.parents or "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetches Kafka's jars before the first test, whose timeout is not meant for downloads. One process does, if many
    run tests; the others wait."""
    collect_only = session.config.getoption("collectonly")
    if not collect_only and not IN_DOCKER and any(item.get_closest_marker("kafka") for item in session.items):
        with contextlib.suppress(SluiceError, OSError):  # the tests that need them say so
            jars.cache_dir().mkdir(parents=True, exist_ok=True)
            with (jars.cache_dir() / "tests.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                jars.fetch(_say(session.config))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    table.write(terminalreporter)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[LocalKafka | ContainerKafka]:
    """The process's broker; tests that kill or configure one start their own."""
    if IN_DOCKER and (reason := no_docker()):
        pytest.skip(f"SLUICE_KAFKA=docker, but {reason}")
    say = _say(request.config)
    with ContainerKafka(say=say) if IN_DOCKER else LocalKafka(say=say) as broker:
        yield broker


@pytest.fixture
def bus(kafka: LocalKafka | ContainerKafka) -> Bus:
    """The test's own topics and groups on the broker."""
    return Bus(kafka.brokers, prefix=f"t{next(_numbers)}.")


def no_docker() -> str | None:
    """Why no Docker can be used here. Its client leaves a socket open where no engine answers: not our error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        reason = container.unavailable()
        gc.collect()
    return reason


def _say(config: pytest.Config) -> jars.Say:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return reporter.write_line if reporter else print
