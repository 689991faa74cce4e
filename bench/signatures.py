"""Signatures of log lines beside Drain3: how fast, how many, how pure, and what template memory answers with them."""

import gzip
import importlib.util
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from bench.result import Figure, Result
from local.drive import Fed
from processors.errors import ConfigurationError
from processors.items import Item
from processors.normalise.normaliser import normaliser_for
from processors.policy import Stream
from processors.template_groups import Group
from processors.template_signatures import Signatures
from processors.templates import Templates
from topics import log_formats
from topics.messages import Verdict

ABOUT = (
    "Real lines in the order of their files; nothing is simulated. A CPU-second of one core: `first` with nothing "
    "known yet, `then` the same events once more with other digits and hexadecimal words. Pure: the share of lines "
    "whose label is that of most lines of their signature, by gold, where there is gold. Answers: what template memory "
    "answers of the stream, one line after the other, taught the gold label of every line that it does not answer "
    "(without gold: one label for all), and how many of these answers are right; `alone` without groups of signatures "
    "that differ in one word. Answers below a score of 0.5 do not count. Drain3 with its defaults, in the same run, "
    "where it is installed: pip install drain3."
)
_COLUMNS = {
    "lines": "lines",
    "first_per_s": "first/s",
    "then_per_s": "then/s",
    "drain3_per_s": "Drain3/s",
    "ratio": "then × Drain3",
    "signatures": "signatures",
    "drain3_templates": "Drain3's",
    "gold_templates": "by hand",
    "pure": "pure",
    "drain3_pure": "Drain3's",
    "alone": "answers alone",
    "answered": "answers",
    "right": "right",
    "unstable": "unstable",
}
_NO_GOLD = "normal"
_SCORE_MIN = 0.5
_SEED = 7
_HEX = re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{4,}\b")
_DIGIT = re.compile(r"\d")
_SEVERE = ("alert", "anomaly")


class _Line(NamedTuple):
    item: Item
    stable: str
    label: str | None
    template: str | None  # made by hand


class _Ungrouped:
    """Signatures alone."""

    def learn(self, tenant: str, signature: str, label: str) -> None:
        pass

    def find(self, tenant: str, signature: str) -> Group | None:  # noqa: ARG002
        return None

    def clear(self) -> None:
        pass


def run(data: Path, seconds: float = 0.0) -> Result:  # noqa: ARG001 every line is measured once
    """Raises ConfigurationError where `data` has no file of log lines."""
    files = sorted(data.glob("logs.*.jsonl.gz"))
    if not files:
        raise ConfigurationError(f"{data} has no file logs.*.jsonl.gz")
    lines = {path.name.removesuffix(".jsonl.gz"): _measured(_read(path)) for path in files}
    return Result(suite="signatures", about=ABOUT, columns=_COLUMNS, lines=lines)


def _read(path: Path) -> list[_Line]:
    stream = Stream.model_validate(
        {"kind": "log", "topics": ["logs"], "labels": {_NO_GOLD: {"means": "-"}, "other": {"means": "-"}}}
    )
    normaliser, lines = normaliser_for("logs", stream), []
    with gzip.open(path) as file:
        for offset, one in enumerate(file):
            row = orjson.loads(one)
            text = row["payload"]["line"]
            item = normaliser.read(Fed("logs", 0, offset, 1_800_000_000_000 + offset, None, text.encode()))
            line = log_formats.of_text(text)
            if isinstance(item, Item) and line is not None:
                lines.append(_Line(item, line.stable, row["label"], row["labels"].get("template")))
    return lines


def _measured(lines: Sequence[_Line]) -> dict[str, Figure]:
    stables = [line.stable for line in lines]
    signature = Signatures().of
    signatures, first_s = _timed(signature, stables)
    rng = random.Random(_SEED)
    _, then_s = _timed(signature, [_renewed(stable, rng) for stable in stables])
    by_hand = {line.template for line in lines if line.template is not None}
    alone, _, _ = _answered(lines, grouped=False)
    answered, right, unstable = _answered(lines, grouped=True)
    figures: dict[str, Figure] = {
        "lines": len(lines),
        "first_per_s": len(lines) / first_s,
        "then_per_s": len(lines) / then_s,
        "signatures": len(set(signatures)),
        "gold_templates": len(by_hand) or None,
        "pure": _purity(lines, signatures),
        "alone": f"{alone:.1%}",
        "answered": f"{answered:.1%}",
        "right": f"{right:.2%}",
        "unstable": unstable,
    }
    if importlib.util.find_spec("drain3") is not None:
        add = _drain3()
        clusters, _ = _timed(add, stables)
        rng = random.Random(_SEED)
        _, drain3_s = _timed(add, [_renewed(stable, rng) for stable in stables])
        figures |= {
            "drain3_per_s": len(lines) / drain3_s,
            "ratio": drain3_s / then_s,
            "drain3_templates": len(set(clusters)),
            "drain3_pure": _purity(lines, clusters),
        }
    return figures


def _renewed(text: str, rng: random.Random) -> str:
    """The same event with other parameters."""
    text = _HEX.sub(lambda word: f"{rng.getrandbits(4 * len(word[0])):0{len(word[0])}x}", text)
    return _DIGIT.sub(lambda _: rng.choice("0123456789"), text)


def _timed(do: Callable[[str], Any], texts: Iterable[str]) -> tuple[list[Any], float]:
    started_s = time.process_time()
    done = [do(text) for text in texts]
    return done, time.process_time() - started_s


def _drain3() -> Callable[[str], Any]:
    from drain3 import TemplateMiner  # type: ignore[import-not-found]
    from drain3.template_miner_config import TemplateMinerConfig  # type: ignore[import-not-found]

    config = TemplateMinerConfig()
    config.profiling_enabled = False
    miner = TemplateMiner(config=config)
    return lambda text: miner.add_log_message(text)["cluster_id"]


def _purity(lines: Sequence[_Line], keys: Sequence[object]) -> str | None:
    """None where there is nothing to tell apart."""
    if len({line.label for line in lines}) < 2:
        return None
    labels: dict[object, Counter[str | None]] = defaultdict(Counter)
    for line, key in zip(lines, keys, strict=True):
        labels[key][line.label] += 1
    return f"{sum(max(counts.values()) for counts in labels.values()) / len(lines):.2%}"


def _answered(lines: Sequence[_Line], *, grouped: bool) -> tuple[float, float, int]:
    """The share that memory answers, the share of these that is right, and unstable signatures at the end."""
    names = {line.label or _NO_GOLD for line in lines} | {_NO_GOLD, "other"}
    labels = {name: {"means": name, "severity": "critical" if name in _SEVERE else None} for name in names}
    stream = Stream.model_validate({"kind": "log", "topics": ["logs"], "labels": labels})
    memory = Templates("logs", stream, "gold", grouping=None if grouped else _Ungrouped())
    answered = right = 0
    unstable: set[str] = set()
    for line in lines:
        label = line.label or _NO_GOLD
        proposal = memory.propose(line.item)
        if proposal is not None and proposal.score >= _SCORE_MIN:
            answered += 1
            right += proposal.verdict.label == label
            continue
        severity = stream.labels[label].severity
        memory.learn(
            line.item,
            Verdict(
                tier="nano",
                label=label,
                severity=severity,
                confidence=1.0,
                priority=0,
                fields={},
                summary=None,
                model="gold",
            ),
        )
        if memory.is_unstable(line.item):
            unstable.add(line.item.template or "")
    return answered / len(lines), right / max(answered, 1), len(unstable)
