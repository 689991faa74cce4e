"""What the console knows: bounded aggregates of what was read from Kafka, and the state that the page draws."""

from collections import deque
from collections.abc import Mapping
from typing import Any, get_args

from processors import baseline
from processors.clock import Clock
from processors.policy import Policy
from streams.console.groups import Groups
from streams.console.inbox import Inbox
from streams.console.journeys import Journey, Journeys
from streams.console.money import Money
from streams.console.rings import Ring
from streams.console.shown import Json, Shown
from streams.console.sizes import Sizes
from topics.catalog import DEFAULT_PREFIX
from topics.dead_letters import NotADeadLetter, read
from topics.limits import CONSOLE_LETTERS_MAX, CONSOLE_PAGE_MAX
from topics.messages import IGNORED, Means
from topics.records import Record

_LIVE_S, _LIVE_BUCKETS = 2, 90  # three minutes
_RATE_BUCKETS = 5  # ten seconds
_SPARK = 60  # two minutes
_OUTPUTS = ("escalations mini", "escalations flagship", "resolutions mini", "resolutions flagship", "alerts", "letters")
_CLIMBED_SHOWN, _ALERTS_SHOWN, _LETTERS_SHOWN = 12, 30, 8
_MEANS: tuple[str, ...] = get_args(Means)


class View:
    """Followers fill it; the server asks for `state`, a page of alerts, an alert, a message."""

    def __init__(self, policy: Policy, clock: Clock, *, content: bool) -> None:
        self.policy = policy
        self.groups, self.sizes = Groups(policy, clock), Sizes(policy)
        self.journeys, self.inbox, self.money = Journeys(), Inbox(), Money(policy)
        self.troubles: dict[str, str] = {}  # what keeps a reader from reading, in words, by reader
        self.decisions_since_ms = 0  # of these decisions and calls all are counted
        self.spend_since_ms = 0
        self._clock = clock
        self._shown = Shown(policy, content)
        self._live, self._hour = Ring(_LIVE_S, _LIVE_BUCKETS), Ring(10, 360)
        self._letters: deque[Json] = deque(maxlen=CONSOLE_LETTERS_MAX)

    # --- what followers bring --------------------------------------------------------------------

    def decision(self, value: Json, at_ms: int) -> None:
        """Raises KeyError or TypeError where it is no Decision, as the others do for theirs."""
        stream, means, now_s = str(value["stream"]), str(value["decided_by"]), self._clock.time()
        known = stream if stream in self.policy.streams else "another"
        amounts = {"decisions": 1.0, "read": 1.0, f"means {means}": 1.0, f"stream {known}": 1.0}
        if value["label"] != IGNORED:
            amounts[f"judged {known}"] = 1
        if value["escalated_to"] is not None:
            amounts[f"climbed {known}"] = 1
        self._live.add(at_ms / 1000, now_s, amounts)
        self._hour.add(at_ms / 1000, now_s, amounts)
        self.journeys.decided(str(value["id"]), self._shown.decision(value) | {"at_ms": at_ms})

    def skipped(self, decisions: int) -> None:
        """So many were passed over: they are counted, and what they say is taken to be as of those that are read."""
        now_s = self._clock.time()
        for ring in (self._live, self._hour):
            ring.add(now_s, now_s, {"decisions": float(decisions), "skipped": float(decisions)})

    def escalation(self, value: Json, at_ms: int) -> None:
        self._count(f"escalations {value['to']}", at_ms)
        shown = self._shown.escalation(value) | {"at_ms": at_ms}
        self.journeys.escalated(str(value["id"]), str(value["to"]), shown)

    def resolution(self, value: Json, at_ms: int) -> None:
        self._count(f"resolutions {value['tier']}", at_ms)
        shown = self._shown.resolution(value) | {"at_ms": at_ms}
        self.journeys.resolved(str(value["id"]), str(value["tier"]), shown)

    def alert(self, id_: str, value: Json | None, at_ms: int) -> None:
        """None: its tombstone."""
        if value is None:
            self.inbox.erase(id_)
            return
        self._count("alerts", at_ms)
        alert = self._shown.alert(value)
        self.inbox.tell(alert, at_ms)
        self.journeys.raised([str(message) for message in alert["evidence"]], str(alert["id"]))

    def spend(self, value: Json) -> None:
        self.money.spent(value, self._clock.time())

    def dead_letter(self, record: Record, at_ms: int) -> None:
        try:
            letter = self._shown.letter(read(record.headers), record.headers) | {"at_ms": at_ms}
        except NotADeadLetter:
            letter = {"id": None, "stage": None, "reason": "not written by Sluice", "at_ms": at_ms}
        else:
            self.journeys.died(str(letter["id"]), letter)
        self._count("letters", at_ms)
        self._letters.append(letter)

    def _count(self, key: str, at_ms: int) -> None:
        now_s = self._clock.time()
        for ring in (self._live, self._hour):
            ring.add(at_ms / 1000, now_s, {key: 1.0})

    # --- what the page draws ---------------------------------------------------------------------

    def state(self) -> Json:
        """All that the page shows at once. Times in epoch milliseconds, money in dollars, rates per second."""
        now_s = self._clock.time()
        hour = self._hour.sums(now_s)
        live = self._live.sums(now_s, now_s - _LIVE_S * _RATE_BUCKETS)
        return {
            "now_ms": int(now_s * 1000),
            "prefix": self.policy.kafka.prefix,
            "default_prefix": self.policy.kafka.prefix == DEFAULT_PREFIX,
            "content": self._shown.content,
            "trouble": next(iter(self.troubles.values()), None),
            "simulated": round(self.money.simulated(now_s), 3),
            "sampled": round(live.get("read", 0) / live["decisions"], 3) if live.get("skipped") else None,
            "flow": self._flow(now_s),
            "decided": self._decided(hour, now_s),
            "money": self._money(hour, now_s),
            "alerts": self.inbox.counts() | {"listed": self.inbox.listed()[:_ALERTS_SHOWN]},
            "climbed": [self._glance(id_) for id_ in self.journeys.climbed()[:_CLIMBED_SHOWN]],
            "letters": {
                "hour": round(hour.get("letters", 0)),
                "listed": list(self._letters)[: -_LETTERS_SHOWN - 1 : -1],
            },
            "budgets": self.money.budgets(now_s)[:CONSOLE_PAGE_MAX],
            "models": self.money.models(now_s),
            "workers": self.groups.workers()[:CONSOLE_PAGE_MAX],
        }

    def alerts(self, offset: int) -> Json:
        """A page of the inbox."""
        listed = self.inbox.listed()
        return self.inbox.counts() | {
            "offset": offset,
            "total": len(listed),
            "listed": listed[offset : offset + CONSOLE_PAGE_MAX],
        }

    def one_alert(self, id_: str) -> Json | None:
        """An alert, its revisions, and a glance at the messages that it names."""
        told = self.inbox.get(id_)
        if told is None:
            return None
        evidence = [self._glance(str(message)) for message in told.alert["evidence"]]
        return {
            "content": self._shown.content,
            "alert": told.alert,
            "revisions": list(told.revisions),
            "messages": evidence,
        }

    def message(self, id_: str) -> Json | None:
        """A message's path: input, decision, escalations, resolutions, dead letters, alerts."""
        journey = self.journeys.get(id_)
        if journey is None:
            return None
        alerts = [told.alert for alert in journey.alerts if (told := self.inbox.get(alert)) is not None]
        return {
            "id": id_,
            "content": self._shown.content,
            "decision": journey.decision,
            "escalations": journey.escalations,
            "resolutions": journey.resolutions,
            "letters": list(journey.letters.values()),
            "alerts": alerts[:CONSOLE_PAGE_MAX],
        }

    def _flow(self, now_s: float) -> Json:
        flow: Json = self.groups.state()
        for name in ("decisions", *_OUTPUTS):
            flow[name] = {
                "per_s": self._live.per_second(name, now_s, _RATE_BUCKETS),
                "series": self._live.series(name, now_s, _SPARK),
            }
        return flow

    def _decided(self, hour: Mapping[str, float], now_s: float) -> Json:
        total, seen = hour.get("decisions", 0.0), hour.get("read", 0.0)
        factor = total / seen if seen else 0.0
        return {
            "hour": round(total),
            "since_ms": int(max(self.decisions_since_ms, (now_s - 3_600) * 1000)),
            "means": [
                {"means": means, "count": round(hour.get(f"means {means}", 0) * factor)}
                for means in _MEANS
                if hour.get(f"means {means}")
            ],
            "streams": [
                {
                    "stream": name,
                    "kind": stream.kind,
                    "count": round(hour.get(f"stream {name}", 0) * factor),
                    "climbed": round(hour.get(f"climbed {name}", 0) * factor),
                }
                for name, stream in self.policy.streams.items()
            ],
        }

    def _money(self, hour: Mapping[str, float], now_s: float) -> Json:
        """Of the time that both decisions and calls are known of, an hour at most."""
        since_s = max(now_s - 3_600, self.decisions_since_ms / 1000, self.spend_since_ms / 1000)
        usd, hour = self.money.usd(now_s, since_s), self._hour.sums(now_s, since_s)
        factor = hour.get("decisions", 0.0) / hour["read"] if hour.get("read") else 0.0
        each, reckoned = 0.0, []
        for name, stream in self.policy.streams.items():
            count, size = hour.get(f"judged {name}", 0.0) * factor, self.sizes.mean_bytes(name)
            if count and size is not None:
                cost = baseline.call_usd(self.policy, name, size)
                each += count * cost
                reckoned.append(
                    {
                        "stream": name,
                        "count": round(count),
                        "instruction_tokens": round(baseline.instruction_tokens(stream)),
                        "message_tokens": round(baseline.message_tokens(size, stream.kind)),
                        "sample": self.sizes.count(name),
                        "usd": round(count * cost, 6),
                    }
                )
        return {
            "since_ms": int(since_s * 1000),
            "seconds": round(max(1.0, now_s - since_s)),
            "usd": {tier: round(spent, 6) for tier, spent in usd.items()},
            "one_call_each_usd": round(each, 6) if reckoned else None,
            "reckoned": reckoned,
            "output_tokens": baseline.OUTPUT_TOKENS,
            "today_usd": round(self.money.today_usd(now_s), 6),
            "today_from_ms": self.spend_since_ms,
        }

    def _glance(self, id_: str) -> Json:
        """A line about a message."""
        journey = self.journeys.get(id_) or Journey()
        decision: Mapping[str, Any] = journey.decision or {}
        resolution: Mapping[str, Any] = next(reversed(journey.resolutions.values()), {})
        return {
            "id": id_,
            "known": journey.decision is not None or bool(journey.escalations or journey.letters),
            "stream": decision.get("stream"),
            "label": resolution.get("label") or decision.get("label"),
            "severity": resolution.get("severity") if resolution else decision.get("severity"),
            "decided_by": decision.get("decided_by"),
            "tiers": list(journey.escalations),
            "status": resolution.get("status"),
            "died": bool(journey.letters),
            "at_ms": decision.get("at_ms") or (journey.climbed_ms() if journey.escalations else None),
        } | ({"summary": resolution.get("summary") or decision.get("summary")} if self._shown.content else {})
