"""Requests that take time, and bad weather.

A request takes a while to arrive, takes effect at once, and its answer takes a while again. What has been sent arrives
and takes effect whatever becomes of the client: killed, frozen or no longer interested.
"""

import asyncio
import contextvars
import random
from collections.abc import Callable
from typing import Any, TypeVar

from aiokafka.errors import KafkaConnectionError, KafkaError, RequestTimedOutError

from streams.engine.broker import Fenced

T = TypeVar("T")
Effect = Callable[[], T | asyncio.Future[T]]
"""What a request does on the broker's side; where it has to wait it gives a future."""

_SLOW_SHARE = 0.02  # of requests and answers: they take much longer
_SLOW_TIMES = 20.0
_MARKER_TIMES_MAX = 10.0  # a transaction's marker takes up to so many times longer
_PATIENCE_SECONDS_MAX = 0.5  # until a client takes a request or its answer for lost


class Network:
    """Between all clients and the broker."""

    def __init__(self, rng: random.Random, latency_s: float) -> None:
        """`latency_s`: the mean, of one way."""
        self.context = contextvars.copy_context()  # the broker's: effects and its timers are no client's
        self.lost_share = 0.0  # of requests: half of them never arrive, of the others the answer is lost
        self.away_until = 0.0  # until then the broker serves nobody
        self.closed = False  # for ever
        self._rng = rng
        self._latency_s = latency_s

    def latency_s(self) -> float:
        """Of the next request or answer."""
        times = _SLOW_TIMES if self._rng.random() < _SLOW_SHARE else 1.0
        return self._latency_s * times * self._rng.uniform(0.5, 1.5)

    def marker_latency_s(self) -> float:
        """Until the next marker of a transaction is written, from its end on."""
        return self.latency_s() * self._rng.uniform(1.0, _MARKER_TIMES_MAX)

    def serve(self, effect: Effect[T], reply: asyncio.Future[T]) -> None:
        """A request has arrived."""
        loop = asyncio.get_running_loop()
        if loop.time() < self.away_until:
            if self._rng.random() < 0.5:  # its client tries again until it gets through
                loop.call_at(self.away_until + self.latency_s(), self.serve, effect, reply)
            else:
                loop.call_later(self.latency_s(), _fail, reply, KafkaConnectionError("the broker is away"))
            return
        fate = self._rng.random()
        if fate < self.lost_share / 2:
            loop.call_later(self._patience_s(), _fail, reply, RequestTimedOutError("the request is lost"))
            return
        lost = fate < self.lost_share
        if lost:
            loop.call_later(self._patience_s(), _fail, reply, RequestTimedOutError("the answer is lost"))
        try:
            result = effect()
        except (KafkaError, Fenced) as error:
            if not lost:
                loop.call_later(self.latency_s(), _fail, reply, error)
            return
        if isinstance(result, asyncio.Future):
            result.add_done_callback(_retrieve if lost else lambda done: self._answer_later(done, reply))
        elif not lost:
            loop.call_later(self.latency_s(), _succeed, reply, result)

    def _answer_later(self, done: asyncio.Future[T], reply: asyncio.Future[T]) -> None:
        loop = asyncio.get_running_loop()
        if (error := done.exception()) is not None:
            loop.call_later(self.latency_s(), _fail, reply, error)
        else:
            loop.call_later(self.latency_s(), _succeed, reply, done.result())

    def _patience_s(self) -> float:
        return self._rng.uniform(0.0, _PATIENCE_SECONDS_MAX)


class Connection:
    """One client's: its requests arrive in the order in which it sends them."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._arrived_at = 0.0

    def send(self, effect: Effect[T]) -> asyncio.Future[T]:
        """Gives the answer. Nobody has to wait for it."""
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[T] = loop.create_future()
        if self._network.closed:
            _fail(reply, KafkaConnectionError("the broker is gone"))
        else:
            self._arrived_at = max(self._arrived_at, loop.time() + self._network.latency_s())
            loop.call_at(self._arrived_at, self._network.serve, effect, reply, context=self._network.context)
        return reply


def _succeed(reply: asyncio.Future[T], result: T) -> None:
    if not reply.done():  # else nobody waits for it any more
        reply.set_result(result)


def _fail(reply: asyncio.Future[Any], error: BaseException) -> None:
    if not reply.done():
        reply.set_exception(error)
        reply.add_done_callback(_retrieve)


def _retrieve(done: asyncio.Future[Any]) -> None:
    """Or asyncio would log an error that nobody took."""
    if not done.cancelled():
        done.exception()
