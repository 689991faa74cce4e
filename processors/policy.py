"""The policy language of `sluice.toml`, as frozen types. Reading the file is `streams/settings.py`'s.

What the language will mean once its mechanism exists is refused by name until then (LATER): never ignored.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self

import orjson
import regex
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from processors import severities
from processors.patterns import searching
from topics import limits
from topics.catalog import DEFAULT_PREFIX, OWNED, Names
from topics.inputs import Format
from topics.messages import AgentTier, FieldValue, Kind, Lane, Reference, Severity, Tier

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _seconds(value: object) -> object:
    """`"2s"`, `"15m"`, `"250ms"` to seconds."""
    if not isinstance(value, str):
        raise ValueError('a duration is text with a unit, as "2s", "15m" or "250ms"')
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value)
    if not match:
        raise ValueError(f'"{value}" is no duration: write a number and a unit, as "2s", "15m" or "250ms"')
    return float(match[1]) * _UNITS[match[2]]


def _pattern(value: object) -> object:
    """A regular expression that compiles."""
    if isinstance(value, str):
        try:
            searching(value)
        except (re.error, regex.error, OverflowError, RecursionError) as error:
            raise ValueError(f"'{value}' is no regular expression: {error}") from None
    return value


def _topic(value: str) -> str:
    """A name that Kafka takes."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", value) or value in (".", ".."):
        raise ValueError(f"'{value}' is no name of a Kafka topic: use up to 249 letters, digits, '.', '_' and '-'")
    return value


TopicName = Annotated[str, AfterValidator(_topic)]
WhenSpent = Literal["stop", "park", "degrade"]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(json_schema_extra={"type": "string"})]
Pattern = Annotated[str, BeforeValidator(_pattern)]
NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9._-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]

PLACEHOLDER = re.compile(r"\{([A-Za-z][A-Za-z0-9._-]*)\}")  # in a runbook's address

# Keys whose mechanism comes later, by path; `*` stands for a name of the user's.
LATER: Mapping[str, str] = {
    "defaults.redact": "redaction before a model sees a text",
    "streams.*.redact": "redaction before a model sees a text",
    "agents.http_allow": "allow-listed HTTP as an agent's tool",
    "agents.mcp": "MCP servers as agents' tools",
    "agents.approval": "approvals before a tool changes the world",
}


# Of an audit, beside one by nano: by the vendor's prices of November 2026, rounded. Not by the policy's, because the
# least share of audits is constant as long as a proof lives (processors/quality), whatever prices do meanwhile.
_AUDIT_PRICES: Mapping[Reference, float] = {"nano": 1.0, "nano-single": 1.0, "mini": 4.0, "flagship": 12.5}


class Misfit(ValueError):
    """What one key says does not fit another's. `at`: the key, below the table that is checked."""

    def __init__(self, told: str, *at: str | int) -> None:
        super().__init__(told)
        self.at = at


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class KafkaSecurity(_Frozen):
    """How the brokers let Sluice in. What is not said here is taken from the environment, where it is said there."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] | None = None
    """Default: `$KAFKA_SECURITY_PROTOCOL`, else `PLAINTEXT`."""
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER"] | None = None
    """Of SASL. Default: `$KAFKA_SASL_MECHANISM`."""
    username: str | None = None
    """Default: `$KAFKA_SASL_USERNAME`."""
    password_env: str | None = None
    """The environment variable that holds the password: a secret is named, never written. Default:
    `KAFKA_SASL_PASSWORD`."""
    password_file: str | None = None
    """The file that holds it instead. Files are looked for from the policy's folder."""
    token_file: str | None = None
    """With `OAUTHBEARER`: holds the token, read anew for every connection. Default: `$KAFKA_SASL_TOKEN_FILE`."""
    ca_file: str | None = None
    """PEM: whose signature a broker's certificate must have. Default: `$KAFKA_SSL_CAFILE`, else the system's."""
    cert_file: str | None = None
    """PEM: Sluice's own certificate, where brokers want one. Default: `$KAFKA_SSL_CERTFILE`."""
    key_file: str | None = None
    """PEM, not encrypted: its key, unless that is in the same file. Default: `$KAFKA_SSL_KEYFILE`."""

    @property
    def with_tls(self) -> bool:
        return self.protocol in ("SSL", "SASL_SSL")

    @property
    def with_sasl(self) -> bool:
        return self.protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    def surplus(self) -> Mapping[str, str]:
        """Keys that the protocol and mechanism, where they are said, have no use for; each with what would have."""
        keys: dict[str, str] = {}
        if self.protocol and not self.with_tls:
            keys |= dict.fromkeys(("ca_file", "cert_file", "key_file"), "`protocol` = SASL_SSL or SSL")
        if self.protocol and not self.with_sasl:
            sasl = ("mechanism", "username", "password_env", "password_file", "token_file")
            keys |= dict.fromkeys(sasl, "`protocol` = SASL_SSL or SASL_PLAINTEXT")
        elif self.mechanism == "OAUTHBEARER":
            password = ("username", "password_env", "password_file")
            keys |= dict.fromkeys(password, "`mechanism` = SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN")
        elif self.mechanism:
            keys["token_file"] = "`mechanism` = OAUTHBEARER"
        return keys

    @field_validator("mechanism", mode="before")
    @classmethod
    def _no_kerberos(cls, mechanism: object) -> object:
        if mechanism == "GSSAPI":
            raise ValueError("'GSSAPI' (Kerberos) is not supported: use SCRAM-SHA-512, or OAUTHBEARER with a token")
        return mechanism

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.password_env and self.password_file:
            raise Misfit("`password_env` and `password_file` both name the password: remove one", "password_file")
        for key, wants in self.surplus().items():
            if getattr(self, key) is not None:
                raise Misfit(f"`{key}` is of no use here: remove it, or set {wants}", key)
        return self


class SchemaRegistry(_Frozen):
    """Where the schemas of Avro values are. What is not said here is taken from the environment, where it is said
    there; where neither names an address, no registry is asked."""

    url: str | None = None
    """Of the API that Confluent's clients use, with its path. Default: `$SCHEMA_REGISTRY_URL`."""
    username: str | None = None
    """Default: the part before the colon of `$SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO`."""
    password_env: str | None = None
    """The environment variable that holds the password: a secret is named, never written. Default: the part after the
    colon of `$SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO`."""
    password_file: str | None = None
    """The file that holds it instead. Files are looked for from the policy's folder."""
    ca_file: str | None = None
    """PEM: whose signature the registry's certificate must have. Default: the system's."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.password_env and self.password_file:
            raise Misfit("`password_env` and `password_file` both name the password: remove one", "password_file")
        for key in ("password_env", "password_file"):
            if getattr(self, key) is not None and self.username is None:
                raise Misfit(f"`{key}` is of no use without a user: set `username`, or remove it", key)
        if self.username is not None and not (self.password_env or self.password_file):
            raise Misfit(
                f"`username` = '{self.username}' needs a password: set `password_env`, or name its file in "
                "`password_file`",
                "username",
            )
        return self


class Kafka(_Frozen):
    bootstrap_servers: str = "${KAFKA_BOOTSTRAP_SERVERS}"
    """`host:port`, several with commas."""
    prefix: str = Field(default=DEFAULT_PREFIX, pattern=r"^[A-Za-z0-9.-]{0,60}$")
    """Of every topic, group and transactional id that Sluice owns."""
    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
    """`at_least_once`: no transactions; what was published just before a crash may be published again."""
    security: KafkaSecurity = KafkaSecurity()
    schema_registry: SchemaRegistry = SchemaRegistry()
    replication_factor: int = Field(default=1, ge=1, le=9)
    """Of the topics that `sluice topics apply` creates."""
    partitions: int = Field(default=8, ge=1, le=1000)
    """Of the topics that `sluice topics apply` creates."""

    @property
    def names(self) -> Names:
        return Names(self.prefix)


class Provider(_Frozen):
    base_url: str = "${OPENAI_BASE_URL:-https://api.openai.com/v1}"
    """Up to and without `/responses`, `/chat/completions` or `/decisions`."""
    api_key_env: str | None = None
    """The environment variable that holds the key: a secret is named, never written. For provider `openai` it is
    `OPENAI_API_KEY` unless said otherwise; other servers get no key by default."""
    api: Literal["responses", "chat", "decisions"] | None = None
    """`chat` for servers without a Responses API. `decisions`, OpenAI's Decisions API, for nano alone: labels are
    chosen, and only input is billed. Default: `$OPENAI_API`, else `responses`."""
    schemas: Literal["strict", "json", "none"] = "strict"
    """What the server enforces: a strict schema, any JSON object, or nothing (the schema then stands in the prompt)."""
    lanes: tuple[Lane, ...] | None = None
    """How the server may be asked: `realtime`; `flex`, slower, at half the price; `batch`, OpenAI's Batch API, within
    a day at half the price. Default: all three at OpenAI's own host, `realtime` anywhere else."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for key in ("schemas", "lanes"):
            if self.api == "decisions" and key in self.model_fields_set:
                told = "decisions are choices, which need no schema, and are made at once, in the lane `realtime`"
                raise Misfit(f'api = "decisions" has no use for it: remove it ({told})', key)
        return self


class UsdPerMillion(_Frozen):
    """Prices in USD per million tokens, and the day they were looked up."""

    input: float = Field(ge=0)
    cached: float = Field(ge=0)
    output: float = Field(ge=0)
    as_of: date


class Limits(_Frozen):
    """Bounds of one escalation; a run that hits one ends with a Resolution that says so. The flagship's are wider by
    default: 12 turns, 120 seconds, 200,000 tokens, 0.25 USD."""

    turns: int = Field(default=8, ge=1, le=100)
    """Model calls, those of sub-tasks among them."""
    depth: int = Field(default=1, ge=0, le=1)
    """1: the plan's sub-tasks run on mini agents; 0: no sub-tasks."""
    seconds: float = Field(default=60, gt=0, le=3600)
    tool_seconds: float = Field(default=10, gt=0, le=600)
    """One tool call."""
    tokens: int = Field(default=60_000, ge=1_000)
    """Input and output of all calls together."""
    usd: float = Field(default=0.05, gt=0)


class TierSettings(_Frozen):
    provider: str = "openai"
    model: str
    usd_per_million: UsdPerMillion | None = None
    """Default: the built-in price of the model, where it is known."""
    candidates: dict[str, UsdPerMillion] = {}
    """Prices of other models that `sluice policy try` may ask in this one's place, where no built-in one is known."""
    confidence: Literal["stated", "logprobs"] = "stated"
    """Of nano's answers: the chance that it states, or the probability of the tokens of the label, where the server
    tells it. By `api = "decisions"` it is the choice's probability."""
    limits: Limits = Limits()


class Tiers(_Frozen):
    nano: TierSettings = TierSettings(model="gpt-5.4-nano")
    mini: TierSettings = TierSettings(model="gpt-5.4-mini", limits=Limits())
    flagship: TierSettings = TierSettings(
        model="gpt-5.4", limits=Limits(turns=12, seconds=120, tokens=200_000, usd=0.25)
    )

    def of(self, tier: Tier) -> TierSettings:
        return {"nano": self.nano, "mini": self.mini, "flagship": self.flagship}[tier]


class Tenant(_Frozen):
    """Whose message it is: the record's header, else the default."""

    header: str | None = "tenant"
    default: str = "default"


class Budget(_Frozen):
    """Of one stream and clock hour, escalations included."""

    usd_per_hour: float = Field(gt=0)
    when_spent: WhenSpent = "stop"
    """Until the hour is over. `stop`: what needs a model waits, and intake pauses. `park`: records that need a model
    go to the topic `parked`, and rules and memory go on deciding the others; not for dialogues, nor where order is
    kept. `degrade`: an escalation keeps the verdict of the tier below and says so (`bound` = `budget`); triage waits.
    Nothing is lost by any."""


class DailyBudget(_Frozen):
    """Of one day (UTC), as each process counts it."""

    usd_per_day: float = Field(gt=0)
    warn_at: float = Field(default=0.8, gt=0, le=1)
    """The share that is told in the log when it is spent."""
    when_spent: WhenSpent = "stop"
    """As a stream's, until the day is over. Records of streams that cannot be parked wait."""


class Budgets(_Frozen):
    """A call has to fit into all that apply to it, and its stream's."""

    total: DailyBudget | None = None
    tenants: dict[str, DailyBudget] = {}
    tiers: dict[Tier, DailyBudget] = {}


class Window(_Frozen):
    """What a dialogue turn is judged with."""

    turns: int = Field(default=20, ge=1, le=limits.WINDOW_TURNS_MAX)
    idle: Seconds = Field(default=600.0, gt=0)
    """A conversation that was quiet this long starts anew."""


class Label(_Frozen):
    means: str = Field(json_schema_extra={"minLength": 1})
    """In words that a new colleague would understand."""
    severity: Severity | None = None
    escalate: Literal["mini", "flagship", "never"] | None = None
    """Where messages of this label go. Default: nowhere, unless the confidence is low; `never`: not even then."""
    examples: tuple[str, ...] = ()
    not_: tuple[str, ...] = Field(default=(), alias="not")
    """What looks like it and is not."""

    @field_validator("means")
    @classmethod
    def _says_something(cls, means: str) -> str:
        if not means.strip():
            raise ValueError(f"'{means}' says nothing: say in words what the label is, the model reads nothing else")
        return means


class FieldSpec(_Frozen):
    """Something that nano extracts from the message; null where the message does not say."""

    type: Literal["string", "number", "integer", "boolean", "enum"] = "string"
    means: str = ""
    values: tuple[str, ...] = ()
    pattern: Pattern | None = None
    """What a string has to match; what does not is null."""

    @model_validator(mode="after")
    def _enum_has_values(self) -> Self:
        if (self.type == "enum") != bool(self.values):
            raise ValueError('`values` goes with type = "enum", and an enum needs at least one')
        if self.pattern is not None and self.type != "string":
            raise ValueError('`pattern` goes with type = "string"')
        return self

    def wants_instead_of(self, value: FieldValue) -> str:
        """What to write for a value that the field can never have; empty where it can."""
        if value is None:
            return ""
        match self.type:
            case "enum" if value not in self.values:
                return f"one of {', '.join(self.values)}"
            case "boolean" if not isinstance(value, bool):
                return "true or false"
            case "number" if isinstance(value, str | bool):
                return "a number, without quotes"
            case "integer" if isinstance(value, str | bool) or (isinstance(value, float) and not value.is_integer()):
                return "a whole number, without quotes"
            case "string" if not isinstance(value, str):
                return "text, in quotes"
            case "string" if self.pattern is not None and searching(self.pattern, whole=True)(str(value)) is None:
                return f"text that matches {self.pattern}"
        return ""


class When(_Frozen):
    """A rule's condition: all that is named must hold."""

    text: Pattern | None = None
    """A regular expression found in the message (its first 4,000 characters; of a dialogue, the last). One that finds
    no end within 0.1 s makes the message a dead letter that names it."""
    field: str | None = None
    """A field of the record, in its own words, as `syslog.severity` or `subject`."""
    equals: FieldValue = None
    at_least: str | float | None = None
    """A number, or a syslog severity (debug < info < … < crit < alert < emerg)."""
    matches: Pattern | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        tests = [self.equals is not None, self.at_least is not None, self.matches is not None]
        if self.field is None and (self.text is None or any(tests)):
            raise ValueError("a condition needs `text`, or `field` with `equals`, `at_least` or `matches`")
        if self.field is not None and sum(tests) != 1:
            raise ValueError(f"field '{self.field}' needs exactly one of `equals`, `at_least`, `matches`")
        if isinstance(self.at_least, str) and (self.at_least.isdecimal() or severities.rank(self.at_least) is None):
            raise ValueError(
                f"`at_least` = '{self.at_least}' is neither a number nor a syslog severity: "
                "write a number without quotes, or debug, info, notice, warning, err, crit, alert, emerg"
            )
        return self


class Then(_Frozen):
    label: str | None = None
    """The decision. Without it, the model decides and the rule only escalates."""
    escalate: AgentTier | None = None
    priority: int | None = Field(default=None, ge=0, le=100)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.label is None and self.escalate is None:
            raise ValueError("`then` needs a `label`, an `escalate`, or both")
        return self


class Rule(_Frozen):
    """Free, in order, before any model: the first that holds decides."""

    name: Name
    when: When
    then: Then


OWN_ALERT_LABELS = ("alertname", "severity", "stream", "tenant")  # that every alert has
BURST = "burst"  # the alertname of a burst


class Alerts(_Frozen):
    """When messages with a severity become an alert. Labels without a severity never do."""

    group_by: tuple[Name, ...] = ()
    """Fields of the stream: messages that agree in them, in label, severity and tenant are one alert."""
    window: Seconds = Field(default=300.0, gt=0)
    fire_at: int = Field(default=3, ge=1)
    """So many messages within `window`, by their own timestamps."""
    resolve_after: Seconds = Field(default=900.0, gt=0)
    """So long after the last of them."""
    burst_at: int | None = Field(default=None, ge=2)
    """Logs: so many lines of one template within `window` are an alert of their own (alertname `burst`, severity
    warning), whatever their label. Default: none."""
    labels: dict[Name, str] = {}
    """Added to the alert's, as `team = "platform"`."""
    runbook_url: str | None = None
    """`{name}` stands for the value of a label or field that the alert is grouped by."""

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        own = " and ".join((", ".join(OWN_ALERT_LABELS[:-1]), OWN_ALERT_LABELS[-1]))
        for name in self.group_by:
            if name in OWN_ALERT_LABELS:
                raise ValueError(
                    f"group_by names '{name}', which is Sluice's own: every alert is grouped by {own} anyway. "
                    "Leave it out, or rename the field if it is another thing"
                )
        for name in self.labels:
            if name in (*OWN_ALERT_LABELS, *self.group_by):
                raise ValueError(
                    f"labels sets '{name}', which every alert has already ({own}, and what it is grouped by): "
                    "choose another name"
                )
        known = (*OWN_ALERT_LABELS, *self.group_by, *self.labels, *(["template"] if self.burst_at is not None else []))
        for name in PLACEHOLDER.findall(self.runbook_url or ""):
            if name not in known:
                raise ValueError(
                    f"runbook_url names '{{{name}}}', which the alert does not have: use one of {', '.join(known)}, "
                    "or add the field to group_by"
                )
        return self


class Quality(_Frozen):
    """How often what is answered below the reference may differ from what the reference would have said."""

    reference: Reference = "nano"
    """`nano`: nano as it is asked every day, many messages a call; `nano-single`: one a call; `mini`, `flagship`: that
    model with the same prompt, one message a call."""
    max_disagreement: float = Field(default=0.02, gt=0, lt=0.5)
    """The claim: the share of answers below the reference that differ from it stays under this."""
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    """With which the claim holds, at every moment since the start."""
    when_uncertified: Literal["escalate", "answer-unproven"] = "escalate"
    """While a cheaper means has not proven itself: `escalate` asks the reference; `answer-unproven` publishes the
    cheaper answer and marks it `unproven`."""
    audit_usd_per_day: float | None = Field(default=None, gt=0)
    """What the reference may cost for audits alone, a process and day. Default: no bound but the budgets."""


class Session(_Frozen):
    """Log lines that are judged together."""

    key: Pattern | None = None
    """A regular expression with one group, found in the line: lines of equal groups are one session."""
    field: str | None = None
    """Or a field of the record, as `syslog.host`."""
    idle: Seconds = Field(default=30.0, gt=0)
    """A session that was quiet this long, by the lines' own timestamps, is judged."""
    lines: int = Field(default=500, ge=2, le=5_000)
    """One with so many lines is judged at once."""

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.key is None) == (self.field is None):
            raise ValueError("a session needs `key`, a regular expression with one group, or `field`: one of the two")
        if self.key is not None and re.compile(self.key).groups != 1:
            raise Misfit(
                f"'{self.key}' has {re.compile(self.key).groups} groups: write one, around what is equal", "key"
            )
        return self


class Value(_Frozen):
    """What a mistake costs. A message climbs when the expected gain is worth an agent's price."""

    missed_usd: float = Field(gt=0)
    """A message that had to climb and did not."""
    needless_usd: float = Field(ge=0)
    """A message that climbed, or paged somebody, for nothing."""


class Stream(_Frozen):
    kind: Kind
    topics: tuple[TopicName, ...] = Field(min_length=1)
    start: Literal["earliest", "latest"] = "earliest"
    """For a new group; new partitions are always read from their beginning."""
    format: Format = "auto"
    order: Literal["none", "key"] | None = None
    """Default: `key` for dialogues, else `none`."""
    deadline: Seconds = 5.0
    """How soon a decision is wanted. From `5m` on nano costs half where the provider has the lane `flex`; from `12h`
    on, without `quality`, Batch jobs are used where it has `batch`."""
    confidence_min: float = Field(default=0.7, ge=0, le=1)
    """A message decided with less confidence climbs to mini, unless its label's `escalate` is `never`. Where the
    stream has a `value`, that counts instead."""
    tenant: Tenant = Tenant()
    summary: str | None = None
    """What a summary should be, as "one sentence". Default: none is asked for."""
    batch: int | None = Field(default=None, ge=1, le=limits.BATCH_MESSAGES_MAX)
    """Messages in one nano call, at most. Default: as many as pay, by what calls cost and take."""
    window: Window = Window()
    budget: Budget | None = None
    labels: dict[Name, Label] = Field(min_length=2)
    fields: dict[Name, FieldSpec] = {}
    rules: tuple[Rule, ...] = ()
    alerts: Alerts = Alerts()
    quality: Quality | None = None
    """Without it only exact memory answers in nano's place, and nothing is audited."""
    session: Session | None = None
    """Logs: lines are judged together. Default: one by one."""
    value: Value | None = None
    """Escalates by what a mistake costs. Default: by label and `confidence_min`."""

    @property
    def ordered(self) -> Literal["none", "key"]:
        return self.order or ("key" if self.kind == "dialogue" else "none")

    @property
    def parkable(self) -> bool:
        """Whether its records may be taken out of their order."""
        return self.ordered == "none" and self.kind != "dialogue" and self.session is None

    @property
    def audit_min(self) -> float:
        """The least share of what is answered below the reference that the reference judges too: the less, the dearer
        that is. A log's lines are so many, and so cheap, that as many audits would cost more than all the others."""
        share = limits.QUALITY_AUDIT_PROBABILITY_MIN / (10 if self.kind == "log" else 1)
        price = 1.0 if self.quality is None else _AUDIT_PRICES[self.quality.reference]
        return max(limits.QUALITY_AUDIT_PROBABILITY_LEAST, share / price)

    @property
    def version(self) -> str:
        """12 hex digits that change with whatever could change a decision."""
        asked = self.model_dump(
            mode="json", include={"kind", "format", "labels", "fields", "rules", "summary", "window", "confidence_min"}
        )
        if self.value is not None:  # said only where it counts, so that other streams keep their version
            asked["value"] = self.value.model_dump(mode="json")
        if self.session is not None:
            asked["session"] = self.session.model_dump(mode="json")
        return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if "ignored" in self.labels:
            told = "label 'ignored' is Sluice's own, for records that are not judged: choose another name"
            raise Misfit(told, "labels", "ignored")
        if self.session is not None and self.kind != "log":
            raise Misfit(f'it is for log lines, and this stream is of kind "{self.kind}": remove it', "session")
        if self.session is not None and self.ordered == "key":
            told = "lines that wait for the end of their session would hold up their key: remove the order"
            raise Misfit(told, "order")
        if self.session is not None and self.budget is not None and self.budget.when_spent == "park":
            told = '"park" takes lines out of their session: use when_spent = "stop"'
            raise Misfit(told, "budget", "when_spent")
        if self.budget is not None and self.budget.when_spent == "park" and not self.parkable:
            raise Misfit(
                '"park" takes records out of their order, and this stream keeps that of each key: '
                'use when_spent = "stop"' + (', or order = "none"' if self.kind != "dialogue" else ""),
                *("budget", "when_spent"),
            )
        if self.alerts.burst_at is not None and self.kind != "log":
            told = f'it counts lines of one log template, and this stream is of kind "{self.kind}": remove it'
            raise Misfit(told, "alerts", "burst_at")
        if self.alerts.burst_at is not None and BURST in self.labels:
            told = f"label '{BURST}' and alerts.burst_at would raise alerts of the same name: choose another name"
            raise Misfit(told, "labels", BURST)
        for name in self.alerts.group_by:
            if name not in self.fields:
                raise Misfit(
                    f"the stream has no field '{name}': "
                    + (f"use one of {', '.join(self.fields)}" if self.fields else "add it under [streams.….fields]"),
                    *("alerts", "group_by"),
                )
        for number, rule in enumerate(self.rules):
            if rule.then.label is not None and rule.then.label not in self.labels:
                raise Misfit(
                    f"rule '{rule.name}' gives label '{rule.then.label}', which the stream does not have: "
                    f"use one of {', '.join(self.labels)}",
                    *("rules", number, "then"),
                )
        return self


class Sql(_Frozen):
    url_env: str = "OPS_DB_URL"
    """The environment variable that holds the database's URL: `sqlite:///path`, the only kind in this version. Agents
    read all of it, whatever tenant a message is of."""


class Agents(_Frozen):
    tools: tuple[Literal["related", "counts", "runbooks", "sql"], ...] = ("related", "counts", "runbooks")
    runbooks: str | None = None
    """A folder of Markdown files."""
    sql: Sql | None = None

    @model_validator(mode="after")
    def _configured(self) -> Self:
        if "sql" in self.tools and self.sql is None:
            raise ValueError("tool 'sql' needs a table [agents.sql] with url_env")
        return self


NotifyKind = Literal["alertmanager", "slack", "pagerduty", "webhook"]


class NotifyWhen(_Frozen):
    """Which alerts a target hears of: all that is named must hold."""

    severity_at_least: Severity = "info"
    streams: tuple[Name, ...] = ()
    """One of these. Default: any."""
    tenants: tuple[str, ...] = ()
    """One of these. Default: any."""
    labels: dict[Name, str] = {}
    """All of these, as `team = "platform"`."""


class Silence(_Frozen):
    """Alerts with these labels are not told for a while. What still fires at its end is told then."""

    labels: dict[Name, str] = Field(min_length=1)
    """All of these, as `stream = "logs"`."""
    until: AwareDatetime
    """With a time zone, as 2026-12-01T06:00:00Z."""


class Notify(_Frozen):
    """One that hears of alerts besides the topic, each alert at least once."""

    kind: NotifyKind
    url: str | None = None
    """Of an Alertmanager (without `/api/v2/alerts`), a webhook, or another PagerDuty than the one of the US; may be
    `${VARIABLE}`."""
    url_env: str | None = None
    """Slack: the environment variable that holds the incoming webhook's URL, which is a secret."""
    routing_key_env: str | None = None
    """PagerDuty: the environment variable that holds the routing key of the service's Events API v2 integration."""
    secret_env: str | None = None
    """Webhook: the environment variable that holds the signing secret, `whsec_` and then base64, as the Standard
    Webhooks have it."""
    when: NotifyWhen = NotifyWhen()
    pages_per_hour: int | None = Field(default=None, ge=1, le=limits.NOTIFY_PAGES_PER_HOUR_MAX)
    """Alerts told for the first time. What goes beyond it is told in one message once the hour has room again.
    Default: no bound."""
    silences: tuple[Silence, ...] = ()
    repeat: Seconds | None = Field(default=None, ge=limits.NOTIFY_REPEAT_SECONDS_MIN)
    """Alertmanager: how often it is told what still fires, so that it does not take it for over. Default: `1m`."""

    @model_validator(mode="after")
    def _fits_kind(self) -> Self:
        needs, takes = _NOTIFY_KEYS[self.kind]
        for key in ("url", "url_env", "routing_key_env", "secret_env", "pages_per_hour", "repeat"):
            said = getattr(self, key) is not None
            if key in needs and not said:
                raise Misfit(f'kind "{self.kind}" needs it: {needs[key]}', key)
            if said and key not in needs and key not in takes:
                use = ", ".join((*needs, *takes))
                raise Misfit(f'kind "{self.kind}" has no use for it: remove it. This kind takes {use}', key)
        if self.url is not None and not re.match(r"https?://|\$\{", self.url):
            raise Misfit(
                f"'{self.url}' is no address: write http://… or https://…, or name a variable as ${{NAME}}", "url"
            )
        return self


# By kind: the keys that it needs, each with what to write, and those that it takes besides.
_NOTIFY_KEYS: Mapping[NotifyKind, tuple[Mapping[str, str], tuple[str, ...]]] = {
    "alertmanager": ({"url": 'add it, as url = "http://alertmanager:9093"'}, ("repeat",)),
    "slack": (
        {"url_env": "name the variable that holds the incoming webhook's URL, which is a secret"},
        ("pages_per_hour",),
    ),
    "pagerduty": (
        {"routing_key_env": "name the variable that holds the integration's routing key"},
        ("url", "pages_per_hour"),
    ),
    "webhook": (
        {
            "url": "add it: where alerts are posted to",
            "secret_env": "name the variable that holds the signing secret",
        },
        ("pages_per_hour",),
    ),
}


class Expect(_Frozen):
    label: str | None = None
    escalate: Literal["mini", "flagship", "never"] | None = None
    fields: dict[str, FieldValue] = {}

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("it expects nothing, so it cannot fail: name a `label`, `escalate` or `fields`")
        return self


class PolicyTest(_Frozen):
    """One of the policy's own tests, run by `sluice test`."""

    stream: str
    text: str
    headers: dict[str, str] = {}
    expect: Expect


class Defaults(_Frozen):
    """What every stream inherits that does not say otherwise."""

    confidence_min: float = Field(default=0.7, ge=0, le=1)
    deadline: Seconds = 5.0
    tenant: Tenant = Tenant()
    quality: Quality | None = None


class Policy(_Frozen):
    """A whole `sluice.toml`."""

    version: Literal[1] = 1
    kafka: Kafka = Kafka()
    providers: dict[str, Provider] = Field(default={}, validate_default=True)
    tiers: Tiers = Tiers()
    budgets: Budgets = Budgets()
    defaults: Defaults = Defaults()
    streams: dict[Name, Stream] = Field(min_length=1)
    agents: Agents = Agents()
    notify: tuple[Notify, ...] = ()
    tests: tuple[PolicyTest, ...] = ()

    @field_validator("providers")
    @classmethod
    def _openai_is_there(cls, providers: dict[str, Provider]) -> dict[str, Provider]:
        openai = providers.get("openai", Provider())
        if "api_key_env" not in openai.model_fields_set:
            openai = openai.model_copy(update={"api_key_env": "OPENAI_API_KEY"})
        return {"openai": openai} | {name: other for name, other in providers.items() if name != "openai"}

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, data: Any) -> Any:
        """Streams take from [defaults] what they do not say."""
        if isinstance(data, dict) and isinstance(data.get("defaults"), dict) and isinstance(data.get("streams"), dict):
            inherited = {k: v for k, v in data["defaults"].items() if k in Defaults.model_fields}
            streams = {
                name: inherited | stream if isinstance(stream, dict) else stream
                for name, stream in data["streams"].items()
            }
            return data | {"streams": streams}
        return data

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        owner: dict[str, str] = {}
        owned = {self.kafka.names.topic(topic) for topic in OWNED}
        for name, stream in self.streams.items():
            for number, topic in enumerate(stream.topics):
                if topic in owned:
                    told = f"topic '{topic}' is Sluice's own, and triage would read what Sluice writes"
                    remedy = f"name another, or change kafka.prefix, which is '{self.kafka.prefix}'"
                    raise Misfit(f"{told}: {remedy}", "streams", name, "topics", number)
                if topic in owner:
                    told = f"topic '{topic}' belongs to stream '{owner[topic]}' already, and a topic has one stream"
                    raise Misfit(f"{told}: take it out of one of them", "streams", name, "topics")
                owner[topic] = name
        for tier in ("nano", "mini", "flagship"):
            provider = self.tiers.of(tier).provider
            if provider not in self.providers:
                told = (
                    f"there is no provider '{provider}': add [providers.{provider}], or use {', '.join(self.providers)}"
                )
                raise Misfit(told, "tiers", tier, "provider")
            if self.tiers.of(tier).confidence == "logprobs" and tier != "nano":
                told = '"logprobs" is for answers written as nano\'s are, and agents state how sure they are: remove it'
                raise Misfit(told, "tiers", tier, "confidence")
            if tier != "nano" and self.providers[provider].api == "decisions":
                told = f"'{provider}' has api = \"decisions\", which only chooses labels, and agents read and write"
                raise Misfit(f'{told}: name a provider with api = "responses" or "chat"', "tiers", tier, "provider")
        for number, target in enumerate(self.notify):
            for name in target.when.streams:
                if name not in self.streams:
                    told = f"there is no stream '{name}': use {' or '.join(self.streams)}"
                    raise Misfit(told, "notify", number, "when")
        for number, test in enumerate(self.tests):
            if test.stream not in self.streams:
                told = f"there is no stream '{test.stream}': use one of {', '.join(self.streams)}"
                raise Misfit(told, "tests", number, "stream")
            labels = self.streams[test.stream].labels
            if test.expect.label is not None and test.expect.label not in labels:
                told = f"stream '{test.stream}' has no label '{test.expect.label}': use one of {', '.join(labels)}"
                raise Misfit(told, "tests", number, "expect")
            self._fields_may_come(number, test)
        return self

    def _fields_may_come(self, number: int, test: PolicyTest) -> None:
        """Raises Misfit where a test expects of a field what its stream never gives."""
        fields = self.streams[test.stream].fields
        for name, value in test.expect.fields.items():
            at = ("tests", number, "expect", "fields", name)
            if name not in fields:
                remedy = f"use one of {', '.join(fields)}" if fields else f"add it under [streams.{test.stream}.fields]"
                raise Misfit(f"stream '{test.stream}' has no field '{name}': {remedy}", *at)
            if wanted := fields[name].wants_instead_of(value):
                raise Misfit(f"field '{name}' of stream '{test.stream}' is never {value!r}: write {wanted}", *at)

    @model_validator(mode="after")
    def _decisions_fit(self) -> Self:
        """Where nano's provider only chooses labels, streams ask for nothing else."""
        name = self.tiers.nano.provider
        if self.providers[name].api != "decisions":
            return self
        if self.tiers.nano.confidence == "logprobs":
            told = f"nano's provider '{name}' has api = \"decisions\", which tells the probability of each choice"
            raise Misfit(f"{told}: remove it", "tiers", "nano", "confidence")
        chooses = f"nano's provider '{name}' has api = \"decisions\", which chooses a label and writes nothing"
        remedy = 'remove it, or let tiers.nano.provider name one with api = "responses" or "chat"'
        for stream_name, stream in self.streams.items():
            for key in ("summary", "fields"):
                if getattr(stream, key):
                    raise Misfit(f"{chooses}: {remedy}", "streams", stream_name, key)
            if len(stream.labels) > (most := limits.DECISION_CHOICES_MAX):
                told = f"{len(stream.labels)} labels, and api = \"decisions\" of nano's provider '{name}' takes {most}"
                remedy = "leave some out, or name a provider with another api"
                raise Misfit(f"{told}: {remedy}", "streams", stream_name, "labels")
        return self

    def stream_of(self, topic: str) -> str:
        """The stream that a topic belongs to. KeyError where no stream has it."""
        for name, stream in self.streams.items():
            if topic in stream.topics:
                return name
        raise KeyError(topic)
