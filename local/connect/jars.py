"""The jars of a Kafka Connect worker, and the connectors that it loads apart from its own.

`python -m local.connect.jars` resolves them anew and writes both locks.
"""

from pathlib import Path

from local import jars
from local.jars import KAFKA_VERSION, Say

DEBEZIUM_VERSION = "3.6.0.Final"
WORKER = (
    f"org.apache.kafka:connect-runtime:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",
    "org.slf4j:slf4j-simple:1.7.36",  # one file, no configuration
)
FILE = f"org.apache.kafka:connect-file:{KAFKA_VERSION}"
DEBEZIUM = (  # as Debezium packs them: a folder each, with all that the connector needs
    f"io.debezium:debezium-connector-postgres:{DEBEZIUM_VERSION}:plugin:tar.gz",
    f"io.debezium:debezium-connector-jdbc:{DEBEZIUM_VERSION}:plugin:tar.gz",
)
WORKER_LOCK = Path(__file__).with_name("worker-jars.lock")
PLUGINS_LOCK = Path(__file__).with_name("plugin-jars.lock")


def worker(say: Say) -> Path:
    """The directory with the worker's class path. Raises JarsUnavailable."""
    return jars.fetch(say, lock=WORKER_LOCK, name=f"connect-{KAFKA_VERSION}")


def plugins(say: Say) -> Path:
    """The directory for `plugin.path`. Raises JarsUnavailable."""
    return jars.fetch(say, lock=PLUGINS_LOCK, name=f"connect-plugins-{DEBEZIUM_VERSION}")


if __name__ == "__main__":
    jars.lock(WORKER, WORKER_LOCK, about="Kafka Connect")
    jars.lock((), PLUGINS_LOCK, alone=(FILE, *DEBEZIUM), about="Kafka Connect")
