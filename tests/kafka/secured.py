"""A broker that lets in only whom it knows: TLS, SASL with every mechanism, ACLs."""

import base64
import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
from aiokafka.protocol.admin import CreateAclsRequest

from local.kafka import HOST, LocalKafka, free_port
from processors.policy import Kafka
from streams import kafka_security, topics_admin
from streams.brokers import Brokers
from tests.certificates import Authority

ADMIN, SLUICE, FEEDER = "admin", "sluice", "feeder"
PASSWORDS: Mapping[str, str] = {ADMIN: "open sesame", SLUICE: "correct horse", FEEDER: "battery staple"}
MECHANISMS: Mapping[str, str] = {ADMIN: "SCRAM-SHA-512", SLUICE: "SCRAM-SHA-512", FEEDER: "SCRAM-SHA-256"}

TOPIC, GROUP, TRANSACTIONAL_ID = 2, 3, 5  # Kafka's numbers of what ACLs are about
LITERAL, PREFIXED = 3, 4
ALL, READ, WRITE = 2, 3, 4
_ALLOW = 3


@dataclass(frozen=True, slots=True)
class Secured:
    """The broker, and what one needs to be let in."""

    bootstrap_servers: str
    mutual: str  # the address where a certificate is asked for instead of a login
    ca: Path
    certificate: Path  # SLUICE's own, with its key

    @property
    def brokers(self) -> Brokers:
        """For one who may do everything."""
        return kafka_security.brokers(Kafka(), self.env(ADMIN))

    def env(self, user: str, **other: str) -> dict[str, str]:
        """The environment of a user; `other` goes on top."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": MECHANISMS[user],
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": PASSWORDS[user],
            "KAFKA_SSL_CAFILE": str(self.ca),
        } | other

    async def allow(self, user: str, resource: int, name: str, pattern: int, operation: int) -> None:
        """What `kafka-acls --add --allow-principal` does."""
        acl = CreateAclsRequest(resource, name, pattern, f"User:{user}", "*", operation, _ALLOW)
        async with topics_admin.connected(self.brokers) as admin:
            response = await admin._send_request(acl)
        assert response.creation_responses[0][0] == 0, response


@contextlib.contextmanager
def secured(folder: Path) -> Iterator[Secured]:
    """Its users are there from its first start on; nobody but ADMIN has any right."""
    authority = Authority(folder / "ca.pem")
    broker, ours = authority.issue(folder / "broker.pem", "broker"), authority.issue(folder / "sluice.pem", SLUICE)
    port, mutual, controller = free_port(), free_port(), free_port()
    modules = "org.apache.kafka.common.security"
    settings = {
        "listeners": f"BROKER://{HOST}:{port},MUTUAL://{HOST}:{mutual},CONTROLLER://{HOST}:{controller}",
        "listener.security.protocol.map": "BROKER:SASL_SSL,MUTUAL:SSL,CONTROLLER:PLAINTEXT",
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(broker),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.path),
        "listener.name.mutual.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN,OAUTHBEARER",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.broker.scram-sha-512.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required"
        f' username="{ADMIN}" password="{PASSWORDS[ADMIN]}";',
        "listener.name.broker.scram-sha-256.sasl.jaas.config": f"{modules}.scram.ScramLoginModule required;",
        "listener.name.broker.plain.sasl.jaas.config": f"{modules}.plain.PlainLoginModule required"
        f' user_{SLUICE}="{PASSWORDS[SLUICE]}";',
        "listener.name.broker.oauthbearer.sasl.jaas.config": f"{modules}.oauthbearer.OAuthBearerLoginModule required"
        f' unsecuredLoginStringClaim_sub="{ADMIN}";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ADMIN};User:ANONYMOUS",  # the second on the controller's listener alone
    }
    users = [f"{MECHANISMS[user]}=[name={user},password={password}]" for user, password in PASSWORDS.items()]
    found = Secured(f"{HOST}:{port}", f"{HOST}:{mutual}", authority.path, ours)
    with LocalKafka(
        port=port,
        settings=settings,
        format_arguments=[argument for user in users for argument in ("--add-scram", user)],
        let_in=lambda _: found.brokers,
        say=lambda _: None,
    ):
        yield found


def token(user: str, seconds: int) -> str:
    """An unsigned bearer token, which Kafka takes where it is told of no issuer."""
    now = int(time.time())
    claims = {"sub": user, "iat": now, "exp": now + seconds}
    parts = (base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode() for part in ({"alg": "none"}, claims))
    return ".".join([*parts, ""])
