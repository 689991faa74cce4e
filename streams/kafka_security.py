"""Who we are to the brokers: by the policy's [kafka.security], and by the environment where that says nothing.

All of it is looked at before anything connects. Secrets are read here and told to nobody but the brokers.
"""

import asyncio
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from aiokafka.abc import AbstractTokenProvider
from pydantic import ValidationError

from processors.errors import ConfigurationError
from processors.placeholders import resolve
from processors.policy import Kafka, KafkaSecurity
from streams import settings
from streams.brokers import Brokers

VARIABLES: Mapping[str, str] = {
    "protocol": "KAFKA_SECURITY_PROTOCOL",
    "mechanism": "KAFKA_SASL_MECHANISM",
    "username": "KAFKA_SASL_USERNAME",
    "password_env": "KAFKA_SASL_PASSWORD",
    "token_file": "KAFKA_SASL_TOKEN_FILE",
    "ca_file": "KAFKA_SSL_CAFILE",
    "cert_file": "KAFKA_SSL_CERTFILE",
    "key_file": "KAFKA_SSL_KEYFILE",
}
"""What stands in for each key of [kafka.security] that the policy does not say."""


def brokers(kafka: Kafka, env: Mapping[str, str] = os.environ) -> Brokers:
    """What every client of Kafka is made with. Raises ConfigurationError, naming value, rule and remedy."""
    identity = _Identity(kafka.security, env)
    return Brokers(
        bootstrap_servers=settings.bootstrap_servers(kafka, env),
        security_protocol=identity.security.protocol or "PLAINTEXT",
        ssl_context=identity.ssl_context(),
        sasl_mechanism=identity.security.mechanism,
        username=identity.username(),
        password=identity.password(),
        token_provider=identity.token_provider(),
    )


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]
    """A bearer token in a file that somebody else keeps fresh, as Kubernetes does with a projected token."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """aiokafka asks for it at every connection, and takes an OSError for one that failed and is tried again."""
        return (await asyncio.to_thread(self._path.read_text)).strip()


class _Identity:
    """Policy and environment as one, told apart again in what is wrong with them."""

    def __init__(self, policy: KafkaSecurity, env: Mapping[str, str]) -> None:
        self._env = env
        self._policy = policy.model_dump(exclude_none=True)
        passed_over = {*self._policy, *policy.surplus()}  # the policy speaks, or has no use for it
        if "password_file" in self._policy:
            passed_over.add("password_env")
        given = {key: name for key, name in VARIABLES.items() if env.get(name) and key not in passed_over}
        values = {key: name if key == "password_env" else env[name] for key, name in given.items()}
        together = values | self._policy
        if together and "protocol" not in together:
            said = ", ".join(f"`{key}`" for key in together)
            self._refuse(f"`protocol` is not set, and without it there is no use for {said}: set it, as to SASL_SSL")
        try:
            self.security = KafkaSecurity.model_validate(together)
        except ValidationError as error:
            [first, *_] = error.errors(include_url=False)
            self._refuse(_problem(first))
        self._require_all()

    def username(self) -> str | None:
        name = self.security.username
        return name and resolve(name, self._env, "kafka.security.username")

    def password(self) -> str | None:
        variable, file = self.security.password_env, self.security.password_file
        if variable and not self._env.get(variable):
            self._refuse(f"`password_env` = {variable}: this environment variable is not set; set it to the password")
        return self._env[variable] if variable else file and self._content("password_file", file).rstrip("\r\n")

    def token_provider(self) -> TokenFile | None:
        path = self.security.token_file
        if path is None:
            return None
        self._content("token_file", path)
        return TokenFile(Path(path))

    def ssl_context(self) -> ssl.SSLContext | None:
        """It looks at a broker's certificate, and at the name in it, always."""
        if not self.security.with_tls:
            return None
        ca, certificate, key = self.security.ca_file, self.security.cert_file, self.security.key_file
        for setting, path in (("ca_file", ca), ("cert_file", certificate), ("key_file", key)):
            if path:
                self._content(setting, path)
        try:
            context = ssl.create_default_context(cafile=ca)
        except ssl.SSLError as error:
            self._refuse(f"`ca_file` = {ca!r}: this file holds no certificate ({error.reason}); name a PEM file")
        if certificate:
            try:
                context.load_cert_chain(certificate, key, password="")  # with None, OpenSSL would ask at the terminal
            except ssl.SSLError as error:
                self._refuse(
                    f"`cert_file` = {certificate!r}: certificate and key cannot be used ({error.reason});"
                    " name PEM files that belong together, the key not encrypted"
                )
        return context

    def _require_all(self) -> None:
        """What neither says, and is needed."""
        security = self.security
        if security.key_file and not security.cert_file:
            self._refuse("`key_file` is of no use without its certificate: set `cert_file`")
        if not security.with_sasl:
            return
        if not security.mechanism:
            self._refuse(
                f"`protocol` = {security.protocol} needs a mechanism: set `mechanism` to SCRAM-SHA-512, SCRAM-SHA-256,"
                " PLAIN or OAUTHBEARER, whichever the brokers offer"
            )
        if security.mechanism == "OAUTHBEARER":
            if not security.token_file:
                self._refuse("`mechanism` = OAUTHBEARER needs a token: set `token_file` to the file that holds it")
            return
        if not security.username:
            self._refuse(f"`mechanism` = {security.mechanism} needs a user: set `username`")
        if not (security.password_env or security.password_file):
            self._refuse(
                f"`mechanism` = {security.mechanism} needs a password: set `password_env`, or name its file in"
                " `password_file`"
            )

    def _content(self, key: str, path: str) -> str:
        """Of a file that is there for us and not empty."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            self._refuse(f"`{key}` = {path!r}: this file cannot be read ({error.strerror}); name one that can")
        except UnicodeDecodeError:
            self._refuse(f"`{key}` = {path!r}: this file is not text; name another, PEM where it is a certificate")
        if not text.strip():
            self._refuse(f"`{key}` = {path!r}: this file is empty; fill it, or name another")
        return text

    def _refuse(self, text: str) -> NoReturn:
        """A key in back quotes is told by its place in the policy, where that says it, else as the variable."""

        def name(key: re.Match[str]) -> str:
            place = f"kafka.security.{key[1]}"
            return place if key[1] in self._policy else VARIABLES.get(key[1], place)

        raise ConfigurationError(re.sub(r"`(\w+)`", name, text)) from None


def _problem(error: Any) -> str:
    """A pydantic error in our words."""
    if error["type"] == "value_error":
        text = str(error["ctx"]["error"])
        return ": ".join([*(f"`{key}`" for key in error["loc"]), text])
    return f"`{error['loc'][0]}` = {error['input']!r}: write {error['ctx']['expected']}"
