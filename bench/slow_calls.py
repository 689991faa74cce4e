"""Model calls that take their time, many at once: how much of what the waiting allows each program gets done."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

from bench import programs
from bench.peers.job import CALL_SECONDS, CONCURRENCY
from bench.result import Figure, Result
from bench.trials import Line, Trials
from local import simulated
from local.jars import Say
from topics.limits import CALLS_IN_FLIGHT_MAX

_IDEAL_PER_S = CONCURRENCY / CALL_SECONDS
_PARTITIONS = (1, 8)
ABOUT = (
    f"Calls are simulated: each waits {CALL_SECONDS * 1000:.0f} ms. {CONCURRENCY} at once in one process on one core, "
    f"whatever the number of partitions, so that {_IDEAL_PER_S:,.0f} messages/s are ideal; measured as in `engine`. "
    "CPU and memory are of the run with one partition. Over HTTP: a question to the simulated provider, about "
    f"{CALL_SECONDS * 1000:.0f} ms with jitter, through the gateway, which lets at most {CALLS_IN_FLIGHT_MAX} calls go "
    "at once to one model; the provider shares the broker's core."
)
_ABOUT_PEERS = (
    " FastStream by max_workers commits what it has not done yet; by batches it waits for the slowest call of each, "
    "which costs nothing here, where all take the same time. Quix has no concurrency within a process."
)
_COLUMNS = {
    **{f"messages_per_s_{count}": f"messages/s, {count} partition{'s'[: count > 1]}" for count in _PARTITIONS},
    "ratio": "share of the ideal",
    "cpu_s_per_million": "CPU-s a million",
    "rss_mb_max": "peak RSS MB",
    "guarantee": "guarantee",
    "messages": "messages",
}


def run(seconds: float = 8.0, *, peers: bool = False, say: Say = print) -> Result:
    """About `seconds` for each figure."""
    with Trials.begin(say) as trials:
        lines = [*_own(seconds), *(_peers(seconds, say) if peers else ())]
        rows = {line.name: _row(line, trials) for line in lines}
        over_http = Line("Sluice, over HTTP", programs.ours(), "http", "exactly once", _messages(seconds) // 2)
        rows[over_http.name] = asyncio.run(_with_provider(over_http, trials))
    about = f"{ABOUT}{_ABOUT_PEERS} {programs.versions()}." if peers else ABOUT
    return Result(suite="slow_calls", about=about, columns=_COLUMNS, lines=rows)


def _messages(seconds: float) -> int:
    return max(1, round(seconds / CALL_SECONDS)) * CONCURRENCY


def _own(seconds: float) -> Iterator[Line]:
    sluice, messages = programs.ours(), _messages(seconds)
    yield Line("Sluice", sluice, "none", "exactly once", messages)
    yield Line("Sluice, each key in order", sluice, "key", "exactly once", messages)


def _peers(seconds: float, say: Say) -> Iterator[Line]:
    messages = _messages(seconds)
    faust, faststream, quix = (programs.python(name, say) for name in ("faust_app", "faststream_app", "quix_app"))
    yield Line(f"FastStream, max_workers={CONCURRENCY}", faststream, "calls", "at most once", messages)
    yield Line("FastStream, batches, calls gathered", faststream, "call_batches", "at least once", messages)
    yield Line(f"Faust, concurrency={CONCURRENCY}", faust, "calls", "at least once", messages)
    yield Line("Quix Streams", quix, "calls", "at least once", round(seconds / CALL_SECONDS))


def _row(line: Line, trials: Trials) -> dict[str, Figure]:
    measured = {count: trials.run(line, count) for count in _PARTITIONS}
    row: dict[str, Figure] = {"messages": line.messages, "guarantee": line.guarantee}
    for count, done in measured.items():
        row[f"messages_per_s_{count}"] = done.per_s if done else None
    if one := measured[1]:
        row |= {"ratio": one.per_s / _IDEAL_PER_S, "cpu_s_per_million": one.cpu_us_each, "rss_mb_max": one.rss_mb_max}
    return row


async def _with_provider(line: Line, trials: Trials) -> dict[str, Figure]:
    async with simulated.provider() as provider:
        told = [f"{name}={value}" for name, value in provider.env.items()]
        return await asyncio.to_thread(_row, replace(line, command=["env", *told, *line.command]), trials)
