"""Commands set logging up for their process; a test gives it back as it was."""

import logging
from collections.abc import Iterator

import pytest

_LOGGERS = ("", "sluice", "streams", "processors", "local", "aiokafka", "mode", "streams.faust_app")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
