"""The servers that models run on: where they are, the key they want, and the dialect they speak."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import get_args
from urllib.parse import urlsplit

from processors.errors import ConfigurationError
from processors.gateway.dialect import Api, Dialect
from processors.placeholders import resolve
from processors.policy import Provider
from topics.messages import Lane

log = logging.getLogger("sluice.gateway")

_OF_EVERY_TIER: tuple[Api, ...] = ("responses", "chat")


@dataclass(slots=True)
class Server:
    """One provider of the policy, ready to be called."""

    name: str
    base_url: str  # without a slash at the end
    key: str | None = field(repr=False)
    key_remedy: str  # what to do when the key is refused
    dialect: Dialect  # changes when the server turns out not to know something
    lanes: frozenset[Lane] = frozenset({"realtime"})
    headers: dict[str, str] = field(init=False, repr=False)  # of every request

    def __post_init__(self) -> None:
        self.headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key is not None:
            self.headers["Authorization"] = f"Bearer {self.key}"

    def adjust(self, sent: Dialect, lesser: Dialect | None, why: str) -> bool:
        """Whether to ask again, in another dialect than the request was `sent` in: `lesser`, if there is one."""
        if self.dialect != sent:
            return True  # another call's answer has taught it meanwhile
        if lesser is None:
            return False
        log.warning("provider %s knows less than asked for, and is asked for less from now on: %s", self.name, why)
        self.dialect = lesser
        return True

    def doubt(self, sent: Dialect) -> None:
        """A strict schema was answered with something else, and none was ever answered well. Twice is enough."""
        if not sent.doubted:
            self.dialect = replace(self.dialect, doubted=True)
        else:
            self.adjust(sent, sent.unenforced(), "it does not keep to a strict schema")

    def without_key(self, body: bytes) -> bytes:
        """A response that may quote the key, fit for messages."""
        return body if self.key is None else body.replace(self.key.encode(), b"***")


def server_of(name: str, provider: Provider, env: Mapping[str, str]) -> Server:
    """Raises ConfigurationError where a variable, the key or the URL is missing or wrong."""
    base_url = resolve(provider.base_url, env, f"providers.{name}.base_url").rstrip("/")
    url = urlsplit(base_url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigurationError(
            f'providers.{name}.base_url = "{base_url}" is no base URL: write one as https://host/v1'
        )
    vendor = url.hostname == "openai.com" or url.hostname.endswith(".openai.com")
    key = (env.get(provider.api_key_env) or None) if provider.api_key_env else None
    if vendor and key is None:
        named = provider.api_key_env or f"named by providers.{name}.api_key_env"
        raise ConfigurationError(
            f"providers.{name}: {url.hostname} needs a key and the environment variable {named} is not set. "
            f"Set it, or name another server in providers.{name}.base_url or $OPENAI_BASE_URL"
        )
    remedy = (
        f"Check the key in ${provider.api_key_env} and its rights"
        if provider.api_key_env
        else f"Name the variable that holds its key in providers.{name}.api_key_env"
    )
    dialect = Dialect(
        api=_api_of(provider, env),
        schemas=provider.schemas,
        vendor=vendor,
        chat_bound="max_completion_tokens" if vendor else "max_tokens",
    )
    lanes: frozenset[Lane] = frozenset({"realtime"})
    if provider.lanes is not None or vendor:
        lanes |= set(get_args(Lane) if provider.lanes is None else provider.lanes)
    if dialect.api == "decisions":
        lanes = frozenset({"realtime"})  # its requests name no service tier, and no Batch job takes them
    if "batch" in lanes and dialect.api == "chat":
        if provider.lanes is not None:
            raise ConfigurationError(
                f'providers.{name}.lanes: "batch" is asked by the Responses API, and this provider has api = "chat". '
                f"Leave one of the two out"
            )
        lanes -= {"batch"}
    return Server(name, base_url, key, remedy, dialect, lanes)


def _api_of(provider: Provider, env: Mapping[str, str]) -> Api:
    if provider.api is not None:
        return provider.api
    for api in _OF_EVERY_TIER:
        if api == (env.get("OPENAI_API") or "responses"):
            return api
    raise ConfigurationError(f'OPENAI_API = "{env["OPENAI_API"]}": use one of {", ".join(_OF_EVERY_TIER)}')
