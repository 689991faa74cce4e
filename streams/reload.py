"""A policy file that changes while a worker runs: taken over, or told why not. The worker goes on either way.

What a record is decided with is fixed when it is taken: the version in its Decision is the boundary. A change that
only a new start can follow (topics, brokers, models) leaves the whole file waiting for that start.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from processors import metrics
from processors.errors import ConfigurationError
from processors.policy import Policy, Stream
from streams import settings
from topics.limits import POLICY_LOOK_SECONDS

log = logging.getLogger("sluice.policy")

_FIXED = ("kafka", "providers", "tiers", "agents", "notify")
_FIXED_OF_STREAM = ("kind", "topics", "start", "format", "order", "tenant", "window", "session")


class Watched:
    """The file of a running policy."""

    def __init__(
        self,
        path: Path,
        policy: Policy,
        adopt: Sequence[Callable[[Policy], None]],
        pointed: Callable[[Policy], Policy] = lambda policy: policy,
    ) -> None:
        """`adopt`: who takes a policy over; at once, so that no record is taken in between. `pointed`: what is made of
        the file's policy before it runs, where that is another broker or other models; `policy` has been through it."""
        self._path = path
        self._policy = policy
        self._adopt = adopt
        self._pointed = pointed
        self._seen: bytes | None = None  # it may have changed since `policy` was read from it

    def look(self) -> None:
        """Takes the file over where it has changed since the last look."""
        digest = self._digest()
        if digest is None or digest == self._seen:  # None: somebody is just replacing it
            return
        self._seen = digest
        try:
            new = self._pointed(settings.load(self._path))
        except ConfigurationError as error:
            self._refuse("invalid", str(error))
            return
        if new == self._policy:
            return
        if fixed := list(unadoptable(self._policy, new)):
            self._refuse("needs_restart", f"{', '.join(fixed)} changed, which takes a restart: restart the workers")
            return
        changed = [name for name, stream in new.streams.items() if stream != self._policy.streams[name]]
        for adopt in self._adopt:
            adopt(new)
        self._policy = new
        metrics.POLICY_RELOADS.labels("adopted").inc()
        versions = ", ".join(f"{name} is version {new.streams[name].version}" for name in changed)
        log.info("%s is taken over: %s", self._path, versions or "no stream is decided otherwise")

    def _refuse(self, outcome: str, why: str) -> None:
        metrics.POLICY_RELOADS.labels(outcome).inc()
        log.error("%s has changed and is not taken over; the policy before it goes on. %s", self._path, why)

    def _digest(self) -> bytes | None:
        try:
            return hashlib.blake2b(self._path.read_bytes()).digest()
        except OSError:
            return None


async def follow(watched: Watched, stop: asyncio.Event) -> None:
    """Looks now and then, until `stop` is set."""
    while not stop.is_set():
        watched.look()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), POLICY_LOOK_SECONDS)


def unadoptable(old: Policy, new: Policy) -> Iterator[str]:
    """The keys that differ and that a running worker cannot follow."""
    for key in _FIXED:
        if getattr(old, key, None) != getattr(new, key, None):
            yield key
    for name in old.streams.keys() ^ new.streams.keys():
        yield f"streams.{name}"
    for name in old.streams.keys() & new.streams.keys():
        yield from (f"streams.{name}.{key}" for key in _changed(old.streams[name], new.streams[name]))


def _changed(old: Stream, new: Stream) -> Iterator[str]:
    """What its records are read with: the window of a conversation outlives a version."""
    yield from (key for key in _FIXED_OF_STREAM if getattr(old, key) != getattr(new, key))
