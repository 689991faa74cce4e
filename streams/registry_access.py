"""Where the schema registry is and who we are to it: by [kafka.schema_registry], else by the environment."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from processors.errors import ConfigurationError
from processors.placeholders import resolve
from processors.policy import Kafka, SchemaRegistry
from streams.schema_registry import RegistryAccess

URL = "SCHEMA_REGISTRY_URL"
USER_INFO = "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO"
"""What stands in for what the policy does not say; with the names that Confluent's tools use."""


def access(kafka: Kafka, env: Mapping[str, str] = os.environ) -> RegistryAccess | None:
    """None where no registry is named. Raises ConfigurationError, naming value, rule and remedy."""
    said = kafka.schema_registry
    url = env.get(URL) if said.url is None else resolve(said.url, env, "kafka.schema_registry.url")
    if not url:
        if surplus := next(iter(said.model_dump(exclude_none=True)), None):
            _refuse(surplus, f"is of no use without an address: set kafka.schema_registry.url or {URL}, or remove it")
        return None
    _require_address(url, URL if said.url is None else "kafka.schema_registry.url")
    username, password = _user(said, env)
    return RegistryAccess(url.rstrip("/"), username, password, _tls(said.ca_file))


def _require_address(url: str, where: str) -> None:
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and parts.hostname is not None and "," not in url
    except ValueError:
        named = False
    if not named:
        raise ConfigurationError(
            f"{where} = '{url}': this is no http:// or https:// address; name one, as http://host:8081"
        )
    if parts.username is not None:
        raise ConfigurationError(
            f"{where}: a secret is named, never written: take user and password out of the address, and set "
            "kafka.schema_registry.username and password_env"
        )


def _user(said: SchemaRegistry, env: Mapping[str, str]) -> tuple[str | None, str | None]:
    if said.username is None:
        if not (info := env.get(USER_INFO)):
            return None, None
        username, colon, password = info.partition(":")
        if not username or not colon:
            raise ConfigurationError(f"{USER_INFO}: it is not of the form user:password; write it so")
        return username, password
    username = resolve(said.username, env, "kafka.schema_registry.username")
    if said.password_file is not None:
        return username, _content("password_file", said.password_file).rstrip("\r\n")
    assert said.password_env is not None, "the policy sees to it"
    if not (secret := env.get(said.password_env)):
        _refuse("password_env", f"= {said.password_env}: this environment variable is not set; set it to the password")
    return username, secret


def _tls(ca_file: str | None) -> ssl.SSLContext | None:
    if ca_file is None:
        return None
    _content("ca_file", ca_file)
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        _refuse("ca_file", f"= {ca_file!r}: this file holds no certificate ({error.reason}); name a PEM file")


def _content(key: str, path: str) -> str:
    """Of a file that is there for us and not empty."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        _refuse(key, f"= {path!r}: this file cannot be read ({error.strerror}); name one that can")
    except UnicodeDecodeError:
        _refuse(key, f"= {path!r}: this file is not text; name another, PEM where it is a certificate")
    if not text.strip():
        _refuse(key, f"= {path!r}: this file is empty; fill it, or name another")
    return text


def _refuse(key: str, told: str) -> NoReturn:
    raise ConfigurationError(f"kafka.schema_registry.{key} {told}") from None
