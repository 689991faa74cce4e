"""Wrong policies: each is told with its line, the value, the rule and what to write instead."""

from pathlib import Path

import pytest

from streams import settings

GOOD = """\
[streams.logs]
kind = "log"
topics = ["logs"]
[streams.logs.labels.routine]
means = "Normal operation"
[streams.logs.labels.alert]
means = "A failure that somebody must see now"
severity = "critical"
escalate = "mini"
"""


def instead(this: str, that: str) -> str:
    """The good policy with that in place of this."""
    assert this in GOOD
    return GOOD.replace(this, that)


def beside(that: str) -> str:
    """The good policy with that after it, from line 10 on."""
    return GOOD + that


def expecting(expect: str, **fields: str) -> str:
    """The good policy with these fields, and a test that expects this of them."""
    table = "".join(f"{name} = {{ {spec} }}\n" for name, spec in fields.items())
    test = f"[[tests]]\nstream = 'logs'\ntext = 'x'\nexpect = {{ {expect} }}\n"
    return beside((f"[streams.logs.fields]\n{table}" if table else "") + test)


WRONG = [
    ("version = 2\n" + GOOD, "line 1: version: 2 does not do: write 1."),
    (instead('"log"', '"logs"'), "line 2: streams.logs.kind: 'logs' does not do: write 'log', 'email' or 'dialogue'."),
    (
        instead('["logs"]', '"logs"'),
        "line 3: streams.logs.topics: 'logs' does not do: write a list, in [ ] with commas.",
    ),
    (
        instead('["logs"]', "[]"),
        "line 3: streams.logs.topics: [] does not do: it needs at least 1, and has 0. Add to it.",
    ),
    (
        instead('["logs"]', '["my topic"]'),
        (
            "line 3: streams.logs.topics.0: 'my topic' is no name of a Kafka topic: use up to 249 letters, "
            "digits, '.', '_' and '-'"
        ),
    ),
    (instead('topics = ["logs"]\n', ""), "line 1: streams.logs.topics: this key is needed. Add it."),
    (instead('kind = "log"\n', ""), "line 1: streams.logs.kind: this key is needed. Add it."),
    (
        instead('"critical"', '"fatal"'),
        (
            "line 8: streams.logs.labels.alert.severity: 'fatal' does not do: write 'critical', 'error', "
            "'warning' or 'info'."
        ),
    ),
    (
        instead('"mini"', '"maxi"'),
        ("line 9: streams.logs.labels.alert.escalate: 'maxi' does not do: write 'mini', 'flagship' or 'never'."),
    ),
    (
        instead('means = "Normal operation"', 'means = ""'),
        (
            "line 5: streams.logs.labels.routine.means: '' says nothing: say in words what the label is, the "
            "model reads nothing else"
        ),
    ),
    (
        '[streams.logs]\nkind = "log"\ntopics = ["logs"]\n[streams.logs.labels.one]\nmeans = "x"\n',
        (
            "line 4: streams.logs.labels: {'one': {'means': 'x'}} does not do: it needs at least 2, and has "
            "1. Add to it."
        ),
    ),
    (
        instead("labels.routine", "labels.ignored"),
        (
            "line 4: streams.logs.labels.ignored: label 'ignored' is Sluice's own, for records that are not "
            "judged: choose another name"
        ),
    ),
    (
        instead("labels.routine", 'labels."ein label"'),
        (
            "line 4: streams.logs.labels.ein label: 'ein label' does not do: a name has up to 64 letters, "
            "digits, '.', '_' and '-', and begins with a letter. Choose another."
        ),
    ),
    (
        instead("streams.logs", 'streams."my logs"'),
        (
            "line 1: streams.my logs: 'my logs' does not do: a name has up to 64 letters, digits, '.', '_' "
            "and '-', and begins with a letter. Choose another."
        ),
    ),
    (
        instead('kind = "log"', 'kind = "log"\nstart = "beginning"'),
        "line 3: streams.logs.start: 'beginning' does not do: write 'earliest' or 'latest'.",
    ),
    (
        instead('kind = "log"', 'kind = "log"\nformat = "xml"'),
        (
            "line 3: streams.logs.format: 'xml' does not do: write 'auto', 'plain', 'connect-json', 'string',"
            " 'syslog', 'ecs', 'otel', 'docker' or 'cri'."
        ),
    ),
    (
        instead('kind = "log"', 'kind = "log"\norder = "time"'),
        "line 3: streams.logs.order: 'time' does not do: write 'none' or 'key'.",
    ),
    (
        instead('kind = "log"', 'kind = "log"\ndeadline = 2'),
        'line 3: streams.logs.deadline: a duration is text with a unit, as "2s", "15m" or "250ms"',
    ),
    (
        instead('kind = "log"', 'kind = "log"\ndeadline = "2 s"'),
        ('line 3: streams.logs.deadline: "2 s" is no duration: write a number and a unit, as "2s", "15m" or "250ms"'),
    ),
    (
        instead('kind = "log"', 'kind = "log"\nconfidence_min = 70'),
        "line 3: streams.logs.confidence_min: 70 does not do: it has to be 1 or less.",
    ),
    (
        instead('kind = "log"', 'kind = "log"\nconfidence_min = "high"'),
        "line 3: streams.logs.confidence_min: 'high' does not do: write a number, without quotes.",
    ),
    (
        instead('kind = "log"', 'kind = "log"\nbatch = 0'),
        "line 3: streams.logs.batch: 0 does not do: it has to be 1 or more.",
    ),
    (
        instead('kind = "log"', 'kind = "log"\nbatch = 1000'),
        "line 3: streams.logs.batch: 1000 does not do: it has to be 32 or less.",
    ),
    (
        instead('kind = "log"', 'kind = "log"\nbudget = 0.5'),
        "line 3: streams.logs.budget: 0.5 does not do: write a table, as { key = value }.",
    ),
    (
        instead('kind = "log"', 'kind = "log"\nbudget = { usd_per_hour = -1 }'),
        "line 3: streams.logs.budget.usd_per_hour: -1 does not do: it has to be more than 0.",
    ),
    (
        instead('kind = "log"', 'kind = "dialogue"\nbudget = { usd_per_hour = 1, when_spent = "park" }'),
        (
            'line 3: streams.logs.budget.when_spent: "park" takes records out of their order, and this stream'
            ' keeps that of each key: use when_spent = "stop"'
        ),
    ),
    (
        instead('kind = "log"', 'kind = "log"\nbudget = { usd_per_hour = 1, when_spent = "wait" }'),
        "line 3: streams.logs.budget.when_spent: 'wait' does not do: write 'stop', 'park' or 'degrade'.",
    ),
    (
        beside('[streams.logs.fields]\ncause = { type = "enum" }\n'),
        ('line 11: streams.logs.fields.cause: `values` goes with type = "enum", and an enum needs at least one'),
    ),
    (
        beside('[streams.logs.fields]\ncause = { type = "text" }\n'),
        (
            "line 11: streams.logs.fields.cause.type: 'text' does not do: write 'string', 'number', "
            "'integer', 'boolean' or 'enum'."
        ),
    ),
    (
        beside('[streams.logs.fields]\ncause = { values = ["a"] }\n'),
        ('line 11: streams.logs.fields.cause: `values` goes with type = "enum", and an enum needs at least one'),
    ),
    (
        beside('[streams.logs.fields]\nn = { type = "number", pattern = "x" }\n'),
        'line 11: streams.logs.fields.n: `pattern` goes with type = "string"',
    ),
    (
        beside('[streams.logs.fields]\nid = { pattern = "[" }\n'),
        (
            "line 11: streams.logs.fields.id.pattern: '[' is no regular expression: unterminated character "
            "set at position 0"
        ),
    ),
    (
        beside('[streams.logs.fields]\nid = "string"\n'),
        "line 11: streams.logs.fields.id: 'string' does not do: write a table, as { key = value }.",
    ),
    (
        beside('[[streams.logs.rules]]\nname = "r"\nwhen = { text = "x" }\nthen = { label = "alarm" }\n'),
        (
            "line 13: streams.logs.rules.0.then: rule 'r' gives label 'alarm', which the stream does not "
            "have: use one of routine, alert"
        ),
    ),
    (
        beside('[[streams.logs.rules]]\nname = "r"\nwhen = {}\nthen = { label = "alert" }\n'),
        (
            "line 12: streams.logs.rules.0.when: a condition needs `text`, or `field` with `equals`, "
            "`at_least` or `matches`"
        ),
    ),
    (
        beside('[[streams.logs.rules]]\nname = "r"\nwhen = { field = "host" }\nthen = { label = "alert" }\n'),
        ("line 12: streams.logs.rules.0.when: field 'host' needs exactly one of `equals`, `at_least`, `matches`"),
    ),
    (
        beside('[[streams.logs.rules]]\nname = "r"\nwhen = { text = "x" }\nthen = {}\n'),
        "line 13: streams.logs.rules.0.then: `then` needs a `label`, an `escalate`, or both",
    ),
    (
        beside('[[streams.logs.rules]]\nname = "r"\nwhen = { text = "x" }\nthen = { escalate = "nano" }\n'),
        "line 13: streams.logs.rules.0.then.escalate: 'nano' does not do: write 'mini' or 'flagship'.",
    ),
    (
        beside('[[streams.logs.rules]]\nwhen = { text = "x" }\nthen = { label = "alert" }\n'),
        "line 10: streams.logs.rules.0.name: this key is needed. Add it.",
    ),
    (
        beside('[streams.logs.rules]\nname = "r"\n'),
        "line 10: streams.logs.rules: {'name': 'r'} does not do: write a list, in [ ] with commas.",
    ),
    (
        beside("[streams.logs.alerts]\nfire_at = 0\n"),
        "line 11: streams.logs.alerts.fire_at: 0 does not do: it has to be 1 or more.",
    ),
    (
        beside('[streams.logs.alerts]\nwindow = "5 minutes"\n'),
        (
            'line 11: streams.logs.alerts.window: "5 minutes" is no duration: write a number and a unit, as '
            '"2s", "15m" or "250ms"'
        ),
    ),
    (
        beside('[streams.logs.alerts]\nwindow = "0s"\n'),
        "line 11: streams.logs.alerts.window: 0.0 does not do: it has to be more than 0.",
    ),
    (
        beside('[streams.logs.alerts]\nresolve_after = "0s"\n'),
        "line 11: streams.logs.alerts.resolve_after: 0.0 does not do: it has to be more than 0.",
    ),
    (
        beside('[streams.logs.window]\nidle = "0s"\n'),
        "line 11: streams.logs.window.idle: 0.0 does not do: it has to be more than 0.",
    ),
    (
        beside("[streams.logs.alerts]\nlabels = { team = 1 }\n"),
        "line 11: streams.logs.alerts.labels.team: 1 does not do: write text, in quotes.",
    ),
    (
        beside(
            '[streams.more]\nkind = "log"\ntopics = ["logs"]\nlabels = { a = { means = "x" }, b = { means = "y" } }\n'
        ),
        (
            "line 12: streams.more.topics: topic 'logs' belongs to stream 'logs' already, and a topic has one"
            " stream: take it out of one of them"
        ),
    ),
    (
        instead('["logs"]', '["logs", "sluice.decisions"]'),
        (
            "line 3: streams.logs.topics.1: topic 'sluice.decisions' is Sluice's own, and triage would read what "
            "Sluice writes: name another, or change kafka.prefix, which is 'sluice.'"
        ),
    ),
    (
        instead('["logs"]', '["loop.decisions"]') + '[kafka]\nprefix = "loop."\n',
        (
            "line 3: streams.logs.topics.0: topic 'loop.decisions' is Sluice's own, and triage would read what "
            "Sluice writes: name another, or change kafka.prefix, which is 'loop.'"
        ),
    ),
    (
        beside('[kafka]\nprefix = "a_b"\n'),
        ("line 11: kafka.prefix: 'a_b' does not do: it has to look like ^[A-Za-z0-9.-]{0,60}$. Choose another."),
    ),
    (
        beside('[kafka]\ndelivery = "at_most_once"\n'),
        "line 11: kafka.delivery: 'at_most_once' does not do: write 'exactly_once' or 'at_least_once'.",
    ),
    (beside("[kafka]\npartitions = 0\n"), "line 11: kafka.partitions: 0 does not do: it has to be 1 or more."),
    (
        beside('[kafka]\nbootstrap_server = "x:1"\n'),
        "line 11: kafka.bootstrap_server: there is no such key. Did you mean 'bootstrap_servers'?",
    ),
    (
        beside('[kafka]\nbootstrap_servers = ["x:1"]\n'),
        "line 11: kafka.bootstrap_servers: ['x:1'] does not do: write text, in quotes.",
    ),
    (
        beside('[tiers.nano]\nprovider = "house"\nmodel = "m"\n'),
        "line 11: tiers.nano.provider: there is no provider 'house': add [providers.house], or use openai",
    ),
    (beside('[tiers.nano]\nprovider = "openai"\n'), "line 10: tiers.nano.model: this key is needed. Add it."),
    (
        beside('[tiers.micro]\nmodel = "m"\n'),
        "line 10: tiers.micro: there is no such key. Known here: nano, mini, flagship.",
    ),
    (
        beside(
            '[tiers.nano]\nmodel = "m"\n'
            '[tiers.nano.usd_per_million]\ninput = "1$"\ncached = 0\noutput = 2\nas_of = 2026-11-01\n'
        ),
        "line 13: tiers.nano.usd_per_million.input: '1$' does not do: write a number, without quotes.",
    ),
    (
        beside('[tiers.flagship]\nmodel = "m"\nlimits = { turns = 0 }\n'),
        "line 12: tiers.flagship.limits.turns: 0 does not do: it has to be 1 or more.",
    ),
    (
        beside('[tiers.flagship]\nmodel = "m"\nlimits = { depth = 3 }\n'),
        "line 12: tiers.flagship.limits.depth: 3 does not do: it has to be 1 or less.",
    ),
    (
        beside('[providers.house]\napi = "completions"\n'),
        "line 11: providers.house.api: 'completions' does not do: write 'responses', 'chat' or 'decisions'.",
    ),
    (
        beside('[providers.house]\napi_key = "sk-123"\n'),
        "line 11: providers.house.api_key: there is no such key. Did you mean 'api_key_env'?",
    ),
    (
        beside("[budgets]\ntotal = { usd_per_day = 0 }\n"),
        "line 11: budgets.total.usd_per_day: 0 does not do: it has to be more than 0.",
    ),
    (
        beside("[budgets]\ntiers.micro = { usd_per_day = 1 }\n"),
        "line 11: budgets.tiers.micro: 'micro' does not do: write 'nano', 'mini' or 'flagship'.",
    ),
    (
        beside("[budgets]\ntotal = { usd_per_day = 1, warn_at = 80 }\n"),
        "line 11: budgets.total.warn_at: 80 does not do: it has to be 1 or less.",
    ),
    (
        beside('[agents]\ntools = ["shell"]\n'),
        "line 11: agents.tools.0: 'shell' does not do: write 'related', 'counts', 'runbooks' or 'sql'.",
    ),
    (beside('[agents]\ntools = ["sql"]\n'), "line 10: agents: tool 'sql' needs a table [agents.sql] with url_env"),
    (
        beside('[defaults]\nredact = ["iban"]\n'),
        "line 11: defaults.redact: redaction before a model sees a text is not in this version. Remove the key.",
    ),
    (
        beside('[defaults]\nquality = { reference = "best" }\n'),
        "line 11: defaults.quality.reference: 'best' does not do: write 'nano-single', 'nano', 'mini' or 'flagship'.",
    ),
    (
        beside('[streams.logs.session]\nkey = "x"\n'),
        "line 11: streams.logs.session.key: 'x' has 0 groups: write one, around what is equal",
    ),
    (
        beside('[[notify]]\nkind = "email"\n'),
        "line 11: notify.0.kind: 'email' does not do: write 'alertmanager', 'slack', 'pagerduty' or 'webhook'.",
    ),
    (
        beside('[[notify]]\nkind = "slack"\n'),
        (
            'line 10: notify.0.url_env: kind "slack" needs it: name the variable that holds the incoming webhook\'s '
            "URL, which is a secret"
        ),
    ),
    (
        beside('[[notify]]\nkind = "slack"\nurl_env = "SLACK_URL"\nurl = "https://hooks.slack.com/services/T/B/x"\n'),
        ('line 13: notify.0.url: kind "slack" has no use for it: remove it. This kind takes url_env, pages_per_hour'),
    ),
    (
        beside('[[notify]]\nkind = "pagerduty"\nsecret_env = "KEY"\n'),
        (
            'line 10: notify.0.routing_key_env: kind "pagerduty" needs it: name the variable that holds the '
            "integration's routing key"
        ),
    ),
    (
        beside('[[notify]]\nkind = "webhook"\nurl = "https://example.org"\n'),
        ('line 10: notify.0.secret_env: kind "webhook" needs it: name the variable that holds the signing secret'),
    ),
    (
        beside('[[notify]]\nkind = "alertmanager"\nurl = "http://am:9093"\npages_per_hour = 5\n'),
        (
            'line 13: notify.0.pages_per_hour: kind "alertmanager" has no use for it: remove it. This kind takes url, '
            "repeat"
        ),
    ),
    (
        beside('[[notify]]\nkind = "alertmanager"\nurl = "alertmanager:9093"\n'),
        (
            "line 12: notify.0.url: 'alertmanager:9093' is no address: write http://… or https://…, or name a "
            "variable as ${NAME}"
        ),
    ),
    (
        beside('[[notify]]\nkind = "alertmanager"\nurl = "http://am:9093"\nwhen = { streams = ["mail"] }\n'),
        "line 13: notify.0.when: there is no stream 'mail': use logs",
    ),
    (
        beside('[[notify]]\nkind = "alertmanager"\nurl = "http://am:9093"\nrepeat = "1ms"\n'),
        "line 13: notify.0.repeat: '1ms' does not do: it has to be 0.5 or more.",
    ),
    (
        beside(
            '[[notify]]\nkind = "alertmanager"\nurl = "http://am:9093"\n'
            "silences = [{ labels = {}, until = 2026-12-01T06:00:00Z }]\n"
        ),
        "line 13: notify.0.silences.0.labels: {} does not do: it needs at least 1, and has 0. Add to it.",
    ),
    (
        beside(
            '[[notify]]\nkind = "alertmanager"\nurl = "http://am:9093"\n'
            'silences = [{ labels = { team = "x" }, until = 2026-12-01T06:00:00 }]\n'
        ),
        (
            "line 13: notify.0.silences.0.until: datetime.datetime(2026, 12, 1, 6, 0) does not do: input should have "
            "timezone info."
        ),
    ),
    (
        beside('[kafka.schema_registry]\nusername = "sluice"\n'),
        (
            "line 11: kafka.schema_registry.username: `username` = 'sluice' needs a password: set `password_env`, or "
            "name its file in `password_file`"
        ),
    ),
    (
        beside('[kafka.schema_registry]\nusername = "sluice"\npassword_env = "A"\npassword_file = "b"\n'),
        (
            "line 13: kafka.schema_registry.password_file: `password_env` and `password_file` both name the password: "
            "remove one"
        ),
    ),
    (
        beside('[kafka.schema_registry]\nurl = "http://r:8081"\npassword_env = "A"\n'),
        (
            "line 12: kafka.schema_registry.password_env: `password_env` is of no use without a user: set `username`, "
            "or remove it"
        ),
    ),
    (
        beside('[kafka.schema_registry]\nadress = "http://r:8081"\n'),
        (
            "line 11: kafka.schema_registry.adress: there is no such key. Known here: url, username, password_env, "
            "password_file, ca_file."
        ),
    ),
    (
        beside('[agents.mcp.jira]\nurl = "x"\n'),
        "line 10: agents.mcp: MCP servers as agents' tools is not in this version. Remove the key.",
    ),
    (
        beside('[[tests]]\nstream = "mail"\ntext = "x"\nexpect = { label = "alert" }\n'),
        "line 11: tests.0.stream: there is no stream 'mail': use one of logs",
    ),
    (
        beside('[[tests]]\nstream = "logs"\ntext = "x"\nexpect = { label = "alarm" }\n'),
        "line 13: tests.0.expect: stream 'logs' has no label 'alarm': use one of routine, alert",
    ),
    (
        beside('[[tests]]\nstream = "logs"\nexpect = { label = "alert" }\n'),
        "line 10: tests.0.text: this key is needed. Add it.",
    ),
    (
        beside('[[tests]]\nstream = "logs"\ntext = "x"\nexpect = {}\n'),
        ("line 13: tests.0.expect: it expects nothing, so it cannot fail: name a `label`, `escalate` or `fields`"),
    ),
    (
        expecting("fields = { host = 'a' }"),
        "line 13: tests.0.expect.fields.host: stream 'logs' has no field 'host': add it under [streams.logs.fields]",
    ),
    (
        expecting("fields = { host = 'a' }", service="type = 'string'"),
        "line 15: tests.0.expect.fields.host: stream 'logs' has no field 'host': use one of service",
    ),
    (
        expecting("fields = { cause = 'cpu' }", cause="type = 'enum', values = ['disk', 'net']"),
        "line 15: tests.0.expect.fields.cause: field 'cause' of stream 'logs' is never 'cpu': write one of disk, net",
    ),
    (
        expecting("fields = { cause = 7 }", cause="type = 'string'"),
        "line 15: tests.0.expect.fields.cause: field 'cause' of stream 'logs' is never 7: write text, in quotes",
    ),
    (
        expecting("fields = { cause = 'c-1' }", cause="pattern = 'C-[0-9]+'"),
        (
            "line 15: tests.0.expect.fields.cause: field 'cause' of stream 'logs' is never 'c-1': write text that "
            "matches C-[0-9]+"
        ),
    ),
    (
        expecting("fields = { n = '3' }", n="type = 'number'"),
        "line 15: tests.0.expect.fields.n: field 'n' of stream 'logs' is never '3': write a number, without quotes",
    ),
    (
        expecting("fields = { n = 3.5 }", n="type = 'integer'"),
        (
            "line 15: tests.0.expect.fields.n: field 'n' of stream 'logs' is never 3.5: write a whole number, "
            "without quotes"
        ),
    ),
    (
        expecting("fields = { down = 1 }", down="type = 'boolean'"),
        "line 15: tests.0.expect.fields.down: field 'down' of stream 'logs' is never 1: write true or false",
    ),
    (
        beside("window = { turns = 0 }\n"),
        (
            "line 10: streams.logs.labels.alert.window: there is no such key. Known here: means, severity, "
            "escalate, examples, not."
        ),
    ),
    (
        beside('[streams.logs]\nkind = "log"\n'),
        ("line 10: this is not TOML: Cannot declare ('streams', 'logs') twice (at line 10, column 14). Mend it there."),
    ),
]


def test_the_policy_that_they_are_made_from_is_good() -> None:
    assert settings.parse(GOOD, Path("sluice.toml"))


@pytest.mark.parametrize(("policy", "told"), WRONG, ids=[told.split(":")[1].strip() for _, told in WRONG])
def test_it_is_told_what_is_wrong_where_and_what_to_write(policy: str, told: str) -> None:
    with pytest.raises(settings.PolicyInvalid) as caught:
        settings.parse(policy, Path("sluice.toml"))
    assert [str(problem) for problem in caught.value.problems] == [told]


def test_what_a_field_may_be_can_be_expected_of_it() -> None:
    specs = {
        "id": ("pattern = 'C-[0-9]+'", "'C-1'"),
        "cause": ("type = 'enum', values = ['disk', 'net']", "'net'"),
        "seconds": ("type = 'number'", "3"),
        "load": ("type = 'number'", "0.5"),
        "tries": ("type = 'integer'", "3.0"),  # which is 3, as a decision has it
        "down": ("type = 'boolean'", "false"),
    }
    expected = ", ".join(f"{name} = {value}" for name, (_, value) in specs.items())
    text = expecting(f"fields = {{ {expected} }}", **{name: spec for name, (spec, _) in specs.items()})
    assert len(settings.parse(text, Path("sluice.toml")).tests[0].expect.fields) == len(specs)
