"""The ready configurations in k8s/connect, and the environment that they refer to."""

from collections.abc import Mapping
from pathlib import Path

import orjson

from local.kafka import HOST
from local.postgres import DATABASE, USER, LocalPostgres
from processors.errors import ConfigurationError
from processors.policy import Policy
from streams import columns
from topics.catalog import ALERTS, DECISIONS

FOLDER = Path(__file__).parents[2] / "k8s" / "connect"
OUTBOX = """
CREATE TABLE outbox (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    aggregatetype text NOT NULL,
    aggregateid   text NOT NULL,
    type          text NOT NULL,
    payload       jsonb NOT NULL
)"""
"""The table that emails-outbox.json reads, as Debezium's outbox event router expects it."""


def file(name: str) -> Path:
    """The configuration of that name. Raises ConfigurationError."""
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        raise ConfigurationError(
            f"{path}: there is no such file. The configurations for Kafka Connect come with the project's source:"
            " run this from a clone of it."
        )
    return path


def environment(policy: Policy, logs: Path, postgres: LocalPostgres) -> dict[str, str]:
    """What the configurations ask for: a file of log lines, and one database for outbox and tables."""
    schemas: Mapping[str, str] = {
        f"{topic.name.upper()}_SCHEMA": orjson.dumps(columns.schema(topic, policy)).decode()
        for topic in (DECISIONS, ALERTS)
    }
    return {
        "LOGS_FILE": str(logs),
        "OUTBOX_HOST": HOST,
        "OUTBOX_PORT": str(postgres.port),
        "OUTBOX_DATABASE": DATABASE,
        "OUTBOX_USER": USER,
        "OUTBOX_PASSWORD": postgres.password,
        "TABLES_URL": postgres.jdbc_url,
        "TABLES_USER": USER,
        "TABLES_PASSWORD": postgres.password,
        **schemas,
    }
