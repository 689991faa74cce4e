"""Kafka to Kafka, every record decided from memory: Sluice, aiokafka alone and, with peers, other frameworks."""

from collections.abc import Iterator

from bench import programs
from bench.observed import WARM_UP, Observed
from bench.peers.job import CALL_SECONDS
from bench.result import Figure, Result
from bench.trials import BYTES_EACH, Line, Trials
from local.jars import Say

PARTITIONS = 8
ABOUT = (
    f"One job for all: take a record of {BYTES_EACH} bytes from a topic of {PARTITIONS} partitions, look it up in a "
    "dictionary, write a decision of about 400 bytes of JSON that names the record. A real Kafka on the same machine; "
    "every program has one core, the broker, which was warmed up, the others. Speed is from the broker's own time "
    "stamps of the outputs, "
    f"the first {WARM_UP:.0%} left out as warm-up; CPU and memory (peak, start-up included) are of all the program's "
    "processes. Every output was read back and is there exactly once. Triage is the demo's whole policy with every "
    "answer in memory beforehand, and writes whole Decisions; by template no text comes twice, and what is known is "
    "the template of each, under a certificate that the bench gives it. Nano, which looks at some of these answers, "
    f"takes {CALL_SECONDS} s a call, so that looks are as few as they would be with so many messages a second."
)
_COLUMNS = {
    "messages_per_s": "messages/s",
    "ratio": "speed × Sluice's",
    "cpu_s_per_million": "CPU-s a million",
    "rss_mb_max": "peak RSS MB",
    "guarantee": "guarantee",
    "messages": "messages",
}
_FAST, _MIDDLING, _SLOW = 125_000, 40_000, 3_750  # messages for each second that a line is to take, roughly


def run(seconds: float = 8.0, *, peers: bool = False, say: Say = print) -> Result:
    """About `seconds` for each line."""
    with Trials.begin(say) as trials:
        lines = [*_own(seconds), *(_peers(seconds, trials, say) if peers else ())]
        say("first the broker warms up, by a line in a transaction and one without: its JVM compiles")
        for line in (lines[0], lines[2]):
            trials.run(line, PARTITIONS)
        measured = [(line, trials.run(line, PARTITIONS)) for line in lines]
    sluice = measured[0][1]
    rows: dict[str, dict[str, Figure]] = {
        line.name: {"messages": line.messages, "guarantee": line.guarantee} | _figures(done, sluice)
        for line, done in measured
    }
    about = f"{ABOUT} {programs.versions()}." if peers else ABOUT
    return Result(suite="engine", about=about, columns=_COLUMNS, lines=rows)


def _figures(done: Observed | None, sluice: Observed | None) -> dict[str, Figure]:
    if done is None:
        return {"guarantee": "failed"}
    return {
        "messages_per_s": done.per_s,
        "ratio": done.per_s / sluice.per_s if sluice else None,
        "cpu_s_per_million": done.cpu_us_each,
        "rss_mb_max": done.rss_mb_max,
    }


def _own(seconds: float) -> Iterator[Line]:
    fast, middling = round(seconds * _FAST), round(seconds * _MIDDLING)
    sluice, aiokafka = programs.ours(), programs.aiokafka()
    yield Line("Sluice, the same job as a stage", sluice, "ready", "exactly once", fast)
    yield Line("Sluice, the whole triage", sluice, "triage", "exactly once", fast)
    yield Line("Sluice, the whole triage, by template", sluice, "templates", "exactly once", fast, by_template=True)
    yield Line("aiokafka alone, batches built by hand", aiokafka, "batches", "at least once", fast)
    yield Line("aiokafka alone, `send` each", aiokafka, "send", "at least once", middling)


def _peers(seconds: float, trials: Trials, say: Say) -> Iterator[Line]:
    fast, middling, slow = (round(seconds * rate) for rate in (_FAST, _MIDDLING, _SLOW))
    streams = programs.kafka_streams(trials.work, say)
    faust, faststream, quix = (programs.python(name, say) for name in ("faust_app", "faststream_app", "quix_app"))
    yield Line("Kafka Streams (JVM)", streams, "exactly_once_v2", "exactly once", 2 * fast)  # its JIT compiles for long
    yield Line("Quix Streams, exactly once", quix, "exactly_once", "exactly once", middling)
    yield Line("Quix Streams", quix, "at_least_once", "at least once", middling)
    yield Line("FastStream, batches", faststream, "batch", "at least once", middling)
    yield Line("FastStream, one by one", faststream, "one", "at most once", slow)
    yield Line("Faust, exactly once", faust, "exactly_once", "exactly once", slow)
    yield Line("Faust", faust, "at_least_once", "at least once", slow)
