"""All targets of a policy: made from it, told of each alert at the same time, looked at as time passes."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from processors.clock import Clock
from processors.errors import ConfigurationError
from processors.notify import alertmanager, pagerduty, webhook
from processors.notify.alertmanager import AlertmanagerForm
from processors.notify.board import Board, Place
from processors.notify.form import Form
from processors.notify.line import Line
from processors.notify.pagerduty import PagerDutyForm
from processors.notify.post import session
from processors.notify.slack import SlackForm
from processors.notify.target import Target
from processors.notify.webhook import WebhookForm
from processors.placeholders import resolve
from processors.policy import Notify
from topics.limits import NOTIFY_LOOK_SECONDS, NOTIFY_REPEAT_SECONDS
from topics.messages import Alert, Rejected

log = logging.getLogger("sluice.notify")


class Notifier:
    """An asynchronous context manager: inside it, targets are told."""

    def __init__(self, settings: Sequence[Notify], *, env: Mapping[str, str], clock: Clock, rng: random.Random) -> None:
        """Raises ConfigurationError where a variable is missing, or holds what is no address or secret."""
        self._clock = clock
        self._rng = rng
        self._board = Board()
        self._wired = [(f"notify[{n}] ({each.kind})", each, *_way(n, each, env)) for n, each in enumerate(settings)]
        self._targets: list[Target] = []

    async def __aenter__(self) -> Self:
        self._http = session()
        self._targets = [self._target(self._http, *wired) for wired in self._wired]
        self._looking = [asyncio.create_task(self._look(target)) for target in self._targets]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [*self._looking, *(task for target in self._targets for task in target.telling_again)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.close()

    def recall(self, place: Place, alert: Alert, at_s: float) -> None:
        """An alert that was told before this worker had the partition. `at_s`: when it was written, epoch seconds."""
        self._board.put(place, alert, at_s)
        for target in self._hearing(alert):
            target.recall(alert, at_s)

    def hear(self, place: Place, alert: Alert) -> bool:
        """An alert that comes now; True where somebody is to be told of it, by `tell`."""
        self._board.put(place, alert, self._clock.time())
        return bool(self._hearing(alert))

    async def tell(self, alert: Alert) -> Rejected | None:
        """Returns once every target has taken it, or has no need to; Rejected names those that did not take it."""
        targets = self._hearing(alert)
        outcomes = await asyncio.gather(*(target.tell(alert) for target in targets))
        failed = [(target.name, each) for target, each in zip(targets, outcomes, strict=True) if each is not None]
        if not failed:
            return None
        refused = any(each.reason == "target_refused" for _, each in failed)
        return Rejected(
            "target_refused" if refused else "attempts_exhausted",
            "; ".join(f"{name}: {each.detail}" for name, each in failed),
            max(1, *(each.attempts for _, each in failed)),
        )

    def forget_alert(self, id_: str) -> None:
        """Its tombstone came."""
        self._board.drop(id_)

    def forget(self, place: Place) -> None:
        """The partition is another worker's."""
        self._board.forget(place)

    def _hearing(self, alert: Alert) -> list[Target]:
        return [target for target in self._targets if target.hears(alert)]

    def _target(self, http: aiohttp.ClientSession, name: str, settings: Notify, url: str, form: Form) -> Target:
        line = Line(name, settings.kind, url, http=http, clock=self._clock, rng=self._rng)
        return Target(name, settings, form, line, self._board, self._clock)

    async def _look(self, target: Target) -> None:
        while True:
            await self._clock.sleep(NOTIFY_LOOK_SECONDS)
            self._board.sweep(self._clock.time())
            try:
                await target.look()
            except Exception:  # what one look fails at, others must not
                log.exception("%s: a look failed", target.name)


def _way(number: int, settings: Notify, env: Mapping[str, str]) -> tuple[str, Form]:
    """A target's address and form."""

    def secret(key: str) -> str:
        variable = getattr(settings, key)
        if not (value := env.get(variable)):
            raise ConfigurationError(
                f"notify[{number}].{key} = {variable}: this environment variable is not set; set it"
            )
        return str(value)

    def address(url: str, key: str) -> str:
        parts = urlsplit("")
        with contextlib.suppress(ValueError):
            parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                f"notify[{number}].{key}: what it names is no http:// or https:// address; set it to one"
            )
        return url

    url = None if settings.url is None else address(resolve(settings.url, env, f"notify[{number}].url"), "url")
    match settings.kind:
        case "alertmanager":
            assert url is not None
            return url.rstrip("/") + alertmanager.PATH, AlertmanagerForm(settings.repeat or NOTIFY_REPEAT_SECONDS)
        case "slack":
            return address(secret("url_env"), "url_env"), SlackForm()
        case "pagerduty":
            return url or pagerduty.URL, PagerDutyForm(secret("routing_key_env"))
        case "webhook":
            assert url is not None
            key = webhook.key_of(secret("secret_env"))
            if key is None:
                raise ConfigurationError(
                    f"notify[{number}].secret_env = {settings.secret_env}: what it holds is no signing secret: write "
                    "whsec_ and the base64 of 24 to 64 random bytes, as from: echo whsec_$(openssl rand -base64 32)"
                )
            return url, WebhookForm(key)
