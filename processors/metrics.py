"""Every Prometheus metric, in one place. Nothing else imports prometheus_client but the page that serves them.

Children are looked up once and kept by whoever counts on a hot path: a labelled look-up costs about 1 µs.
"""

from typing import get_args

from prometheus_client import Counter, Gauge, Histogram

from topics.messages import DeadLetterReason

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

# engine
RECEIVED = Counter("sluice_records_received_total", "Records taken from Kafka", ["stage", "topic"])
COMMITTED = Counter(
    "sluice_records_committed_total", "Records whose outputs and offset are committed", ["stage", "topic"]
)
REJECTED = Counter("sluice_records_rejected_total", "Records sent to dead-letters", ["stage", "reason"])
PARKED = Counter("sluice_records_parked_total", "Records sent to parked, to be taken up again when due", ["stage"])
RETRIED = Counter("sluice_record_attempts_failed_total", "Failed attempts at a record", ["stage", "error"])
TRANSACTIONS = Counter("sluice_transactions_total", "Transactions by how they ended", ["stage", "outcome"])
IN_FLIGHT = Gauge("sluice_records_in_flight", "Records that wait for a model or an agent", ["stage"])
LAG = Gauge("sluice_consumer_lag_records", "Records in the topic and not yet taken", ["stage", "topic", "partition"])
PAUSED = Gauge("sluice_intake_paused", "1 while intake is held, by reason", ["stage", "reason"])
COMMIT_SECONDS = Histogram("sluice_transaction_seconds", "Begin to commit", ["stage"], buckets=_SECONDS)

# worker: written when they are read (streams/probes.py)
READY = Gauge("sluice_stage_ready", "1 while the stage has joined its group and its poll loop turns", ["stage"])
ASSIGNED = Gauge("sluice_partitions_assigned", "Partitions that the stage has in this worker", ["stage"])
POLL_AGE = Gauge("sluice_poll_age_seconds", "Since the stage's poll loop last turned", ["stage"])

# triage
DECIDED = Counter("sluice_decisions_total", "Decisions by means", ["stream", "by", "label"])
ESCALATED = Counter("sluice_escalations_total", "Escalations by tier and reason", ["stream", "to", "reason"])
BATCH_MESSAGES = Histogram(
    "sluice_batch_messages", "Messages in one model call", ["stream"], buckets=(1, 2, 4, 6, 8, 12, 16, 24, 32)
)
ASKED_AGAIN = Counter("sluice_items_asked_again_total", "Items asked again alone", ["stream", "why"])
DECISION_SECONDS = Histogram(
    "sluice_decision_seconds", "From taking a record to its decision", ["stream"], buckets=_SECONDS
)

# quality
AUDITED = Counter("sluice_audits_total", "Audits that are in a stream's state", ["stream"])
DISAGREED = Counter(
    "sluice_audit_disagreements_total",
    "Audits whose reference said otherwise than what was published below it",
    ["stream"],
)
CERTIFIED = Gauge("sluice_quality_certified", "1 while the rule may answer below the reference", ["stream", "rule"])
SWITCHED_OFF = Gauge("sluice_quality_off", "1 while an operator lets the reference alone answer", ["stream"])
LOOKED = Counter(
    "sluice_looks_total",
    "Answers of memory and students that nano was asked about too, by whether the reference differed",
    ["stream", "outcome"],
)
STUDENTS = Counter("sluice_students_total", "Trainings of students, by what came of them", ["stream", "outcome"])

# agents
RESOLVED = Counter("sluice_resolutions_total", "Resolutions by tier and status", ["stream", "tier", "status"])
RESOLUTION_SECONDS = Histogram(
    "sluice_resolution_seconds",
    "From taking an escalation until its agent has resolved it or lets it climb",
    ["stream", "tier"],
    buckets=(*_SECONDS, 300),
)
TOOL_CALLS = Counter("sluice_tool_calls_total", "Tool calls of agents", ["tool", "outcome"])

# incidents
SIGNALS_SKIPPED = Counter("sluice_signals_skipped_total", "Records of signals that cannot be read, by error", ["error"])
ALERTS = Counter("sluice_alerts_total", "Alerts told", ["stream", "status"])
INCIDENTS = Gauge("sluice_incidents", "Incidents that this worker keeps, by partition", ["partition"])
INCIDENTS_RESTARTED = Counter("sluice_incidents_restarts_total", "Starts of the worker after a failure", ["error"])

# notify
NOTIFICATIONS = Counter(
    "sluice_notifications_total", "Alerts by what came of them at a target of [[notify]]", ["kind", "outcome"]
)
NOTIFICATION_SECONDS = Histogram(
    "sluice_notification_seconds", "Duration of an HTTP call to a target", ["kind"], buckets=_SECONDS
)

# gateway
MODEL_CALLS = Counter("sluice_model_calls_total", "HTTP calls to models", ["tier", "status"])
MODEL_SECONDS = Histogram(
    "sluice_model_call_seconds", "Duration of an HTTP call to a model", ["tier"], buckets=_SECONDS
)
TOKENS = Counter("sluice_tokens_total", "Tokens billed", ["tier", "kind"])
USD = Counter("sluice_usd_total", "Dollars spent", ["tier", "stream"])
LIMIT_USE = Gauge("sluice_limit_used_ratio", "Share of the provider's limit in use", ["tier", "limit"])
POLICY_RELOADS = Counter("sluice_policy_reloads_total", "Changes of the policy file, by what came of them", ["outcome"])
BUDGET_USED = Gauge("sluice_budget_used_ratio", "Share of a budget spent in its period", ["budget"])
LANE_ANSWERS = Counter("sluice_lane_answers_total", "Answers by the lane that was billed", ["lane", "tier"])
LANE_USD = Counter("sluice_lane_usd_total", "Dollars spent by lane", ["lane", "stream"])
LANE_FALLBACKS = Counter("sluice_lane_fallbacks_total", "Asks that left a cheaper lane, and why", ["lane", "why"])
LANE_JOBS = Counter("sluice_lane_batch_jobs_total", "Batch jobs by what came of them", ["status"])
LANE_JOBS_OPEN = Gauge("sluice_lane_batch_jobs_open", "Batch jobs under way, those of other workers among them")
LANE_WAITING = Gauge("sluice_lane_batch_requests_waiting", "Requests that are not in a Batch job yet")
WAITING = Gauge("sluice_model_calls_waiting", "Calls waiting for a limit", ["tier"])


def expect_rejections(stage: str) -> None:
    """Shows a zero for every reason: Prometheus sees no increase in a counter that appears with its first event."""
    for reason in get_args(DeadLetterReason):
        REJECTED.labels(stage, reason)


def observe(histogram: Histogram, value: float, times: int) -> None:
    """The same value so many times, at the price of one: the library has no such call."""
    for bound, bucket in zip(histogram._upper_bounds, histogram._buckets, strict=True):
        if value <= bound:
            bucket.inc(times)
            break
    histogram._sum.inc(value * times)
