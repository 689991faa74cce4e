"""`/metrics` for Prometheus, `/live` and `/ready` for the kubelet."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from processors import metrics
from processors.errors import ConfigurationError
from streams.engine.engine import Health

log = logging.getLogger("sluice.probes")

POLL_AGE_SECONDS_MAX = 30.0  # a poll loop that has not turned for this long is dead: no step of it waits for a model


@asynccontextmanager
async def serve(host: str, port: int, health: Callable[[], dict[str, Health]]) -> AsyncIterator[int]:
    """Serves the probes of a process while the context is open; gives the port.

    `/live`: 503 where a poll loop has stopped turning. `/ready`: 503 until every stage has joined its group.
    A held intake (a spent account, a spent budget) is neither: restarting the pod would not help.
    """

    async def exposed(_: web.Request) -> web.Response:
        _report(health())
        return web.Response(body=generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})

    def answer(ok: Callable[[Health], bool]) -> web.Response:
        stages = health()
        all_ok = all(ok(stage) for stage in stages.values())
        body = {
            name: {
                "ok": ok(stage),
                "partitions": stage.partitions,
                "in_flight": stage.in_flight,
                "held": stage.held,
                "poll_age_s": round(stage.poll_age_s, 1),
            }
            for name, stage in stages.items()
        }
        return web.json_response(body, status=200 if all_ok else 503)

    async def live(_: web.Request) -> web.Response:
        return answer(_turns)

    async def ready(_: web.Request) -> web.Response:
        return answer(_serves)

    app = web.Application()
    app.add_routes([web.get("/metrics", exposed), web.get("/live", live), web.get("/ready", ready)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise ConfigurationError(
                f"SLUICE_HTTP_PORT = {port}: cannot listen on {host}:{port} ({error.strerror}). "
                "Set another port, or 0 for a free one."
            ) from None
        bound: int = runner.addresses[0][1]
        log.info("probes and metrics", extra={"url": f"http://{host}:{bound}/metrics"})
        yield bound
    finally:
        await runner.cleanup()


def _turns(stage: Health) -> bool:
    return stage.poll_age_s < POLL_AGE_SECONDS_MAX


def _serves(stage: Health) -> bool:
    return stage.joined and _turns(stage)


def _report(stages: Mapping[str, Health]) -> None:
    """What the probes say, as metrics: whoever watches a worker sees what the kubelet sees."""
    for name, stage in stages.items():
        metrics.READY.labels(name).set(_serves(stage))
        metrics.ASSIGNED.labels(name).set(stage.partitions)
        metrics.POLL_AGE.labels(name).set(stage.poll_age_s)
