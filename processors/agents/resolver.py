"""Ends escalations: a mini agent resolves them or lets them climb, a flagship resolves them.

Each Escalation ends as exactly one Resolution or one Escalation to the next tier, or as an error, which leads to
another try or a dead letter. A run that hits a bound ends as a Resolution that names it and keeps the verdict of the
tier below; it does not climb, because that would spend more just where spending was to end.
"""

import asyncio
import random
import re
from dataclasses import replace

from processors.agents.account import Account, BoundReached
from processors.agents.answers import Judgement, MiniJudgement
from processors.agents.flagship import Flagship
from processors.agents.mini import Mini
from processors.agents.runner import Runner
from processors.agents.toolbox import Toolbox
from processors.clock import Clock
from processors.errors import AnswerInvalid, BudgetSpent, ConfigurationError, ProviderUnavailable
from processors.gateway.gateway import Gateway
from processors.metrics import ESCALATED, RESOLUTION_SECONDS, RESOLVED
from processors.policy import Policy
from topics import limits
from topics.messages import AgentTier, Escalation, Evidence, Resolution, Verdict


class Resolver:
    """The agents of one tier. At most AGENT_RUNS_MAX escalations are worked on at once; the rest wait."""

    def __init__(
        self, policy: Policy, tier: AgentTier, gateway: Gateway, toolbox: Toolbox, *, clock: Clock, rng: random.Random
    ) -> None:
        self._tier = tier
        self._limits = policy.tiers.of(tier).limits
        self._model = policy.tiers.of(tier).model
        self._clock = clock
        self._rng = rng
        self._slots = asyncio.Semaphore(limits.AGENT_RUNS_MAX)
        runner = Runner(policy.tiers, gateway)
        tools = toolbox.functions(self._limits.tool_seconds)
        self._judges: dict[str, Mini | Flagship] = {
            name: Mini(name, stream, tools, runner)
            if tier == "mini"
            else Flagship(name, stream, self._limits, tools, runner, clock)
            for name, stream in policy.streams.items()
        }

    async def resolve(self, escalation: Escalation, traceparent: bytes | None = None) -> Resolution | Escalation:
        """`escalation` has at least one verdict. `traceparent`: the record's; its trace becomes the Resolution's.

        Raises AccountError, ProviderUnavailable, AnswerRefused and RequestRefused as the gateway does, and
        ConfigurationError where the policy no longer has the stream. Cancelled, it leaves nothing behind.
        """
        if escalation.stream not in self._judges:
            raise ConfigurationError(
                f"escalation {escalation.id} is of stream '{escalation.stream}', which the policy does not have: "
                f"keep [streams.{escalation.stream}] until its escalations are done"
            )
        taken_s = self._clock.monotonic()
        async with self._slots:
            account = Account(escalation, self._limits, self._clock.monotonic())
            ended = await self._judge(account)
        seconds = self._clock.monotonic() - taken_s
        RESOLUTION_SECONDS.labels(escalation.stream, self._tier).observe(seconds)
        if isinstance(ended, MiniJudgement) and ended.decision == "escalate":
            climbing = self._climbing(escalation, ended)
            ESCALATED.labels(climbing.stream, climbing.to, climbing.reason).inc()
            return climbing
        resolution = self._resolution(account, ended, self._trace(traceparent), seconds * 1000)
        RESOLVED.labels(resolution.stream, resolution.tier, resolution.status).inc()
        return resolution

    async def _judge(self, account: Account) -> Judgement | BoundReached:
        """A judgement, or what kept the run from one."""
        judge = self._judges[account.escalation.stream]
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await judge.judge(account)
        except BoundReached as reached:
            return reached
        except AnswerInvalid as error:
            return BoundReached("invalid_answer", str(error))
        except BudgetSpent as error:
            # Half a run is paid for. Waiting would pay for it again, and for ever where the budget is less than a run.
            if account.turns == 0 and error.when_spent != "degrade":
                raise
            return BoundReached("budget", str(error))
        except TimeoutError:
            if account.turns == 0:
                raise ProviderUnavailable(f"no answer from a model within {self._limits.seconds:g} s") from None
            return BoundReached("seconds", f"{self._limits.seconds:g} s are over")

    def _climbing(self, escalation: Escalation, judgement: MiniJudgement) -> Escalation:
        found = "; ".join(f"{finding.tool}: {finding.finding}" for finding in judgement.evidence)
        return replace(
            escalation,
            to="flagship",
            reason="unresolved",
            detail=f"a mini agent could not resolve it, found: {found or 'nothing'}"[: limits.AGENT_TEXT_CHARS_MAX],
            verdicts=(*escalation.verdicts, self._verdict(escalation, judgement)),
            escalated_at_ms=int(self._clock.time() * 1000),
        )

    def _resolution(
        self, account: Account, ended: Judgement | BoundReached, trace: str, latency_ms: float
    ) -> Resolution:
        escalation, meter = account.escalation, account.meter
        if isinstance(ended, BoundReached):
            judged, verdict = None, _kept(escalation.verdicts[-1], ended)
        else:
            judged, verdict = ended, self._verdict(escalation, ended)
        return Resolution(
            id=escalation.id,
            source=escalation.source,
            stream=escalation.stream,
            tenant=escalation.tenant,
            tier=self._tier,
            status="resolved" if judged else "bounded",
            bound=ended.bound if isinstance(ended, BoundReached) else None,
            label=verdict.label,
            severity=verdict.severity,
            priority=verdict.priority,
            confidence=verdict.confidence,
            summary=verdict.summary or "",
            evidence=tuple(Evidence(tool=found.tool, finding=found.finding) for found in judged.evidence)
            if judged
            else (),
            actions=tuple(judged.actions) if judged else (),
            plan=tuple(account.plan),
            verdicts=escalation.verdicts,
            model=self._model,
            turns=account.turns,
            tool_calls=account.tool_calls,
            tokens=meter.tokens,
            cost_usd_micros=meter.usd_micros,
            latency_ms=latency_ms,
            trace=trace,
            policy_version=escalation.policy_version,
        )

    def _verdict(self, escalation: Escalation, judgement: Judgement) -> Verdict:
        return Verdict(
            tier=self._tier,
            label=judgement.label,
            severity=judgement.severity,
            confidence=judgement.confidence,
            priority=judgement.priority,
            fields=escalation.verdicts[-1].fields,
            summary=judgement.summary,
            model=self._model,
        )

    def _trace(self, traceparent: bytes | None) -> str:
        """The sender's trace id, else a new one."""
        sent = _TRACEPARENT.fullmatch(traceparent.decode("latin-1")) if traceparent else None
        return sent[1] if sent else f"{self._rng.getrandbits(128) or 1:032x}"


_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")


def _kept(verdict: Verdict, reached: BoundReached) -> Verdict:
    """The verdict of the tier below, with words on why no better one came."""
    said = f": {verdict.summary}" if verdict.summary else ""
    return replace(
        verdict,
        summary=f"The agent's run ended at its limit ({reached.bound}: {reached}), so the verdict of "
        f"{verdict.tier} stands{said}"[: limits.AGENT_TEXT_CHARS_MAX],
    )
