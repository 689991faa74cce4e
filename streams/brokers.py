"""Where the brokers are and how they let us in: what every client of Kafka is made with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

from aiokafka.abc import AbstractTokenProvider


@dataclass(frozen=True, slots=True)
class Brokers:
    """`Brokers("localhost:9092")` speaks in the clear; `kafka_security.brokers` makes one from the settings."""

    bootstrap_servers: str  # `host:port`, several with commas
    security_protocol: str = "PLAINTEXT"  # as Kafka names it
    ssl_context: SSLContext | None = None  # with SSL and SASL_SSL
    sasl_mechanism: str | None = None  # with SASL_PLAINTEXT and SASL_SSL, as is what follows
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token_provider: AbstractTokenProvider | None = None  # with OAUTHBEARER, instead of name and password

    @property
    def client_options(self) -> Mapping[str, Any]:
        """In aiokafka's names: `AIOKafkaConsumer(**brokers.client_options, …)`."""
        options = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context,
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
            "sasl_oauth_token_provider": self.token_provider,
        }
        return {name: value for name, value in options.items() if value is not None}
