"""Log lines by format: their fields, and what stays equal when the same event is logged again."""

import orjson
import pytest

from topics import log_lines
from topics.log_formats import of_object, of_text
from topics.log_lines import LogLine


def line(text: str) -> LogLine:
    read = of_text(text)
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("once", "again"),
    [
        (
            "1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.675872 R02-M1 RAS KERNEL INFO parity error",
            "1117838999 2005.06.04 R02-M1 2005-06-04-01.02.03.000001 R02-M1 RAS KERNEL INFO parity error",
        ),
        (
            "1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond(pam_unix)[2915]: session closed",
            "1131566999 2005.11.10 dn228 Nov 10 13:01:01 dn228/dn228 crond(pam_unix)[77]: session closed",
        ),
        ("Dec 10 06:55:46 LabSZ sshd[24200]: Invalid user x", "Jan  1 00:00:00 LabSZ sshd[7]: Invalid user x"),
        ("[Sun Dec 04 04:47:44 2005] [notice] ok", "[Mon Dec 05 05:00:00 2005] [notice] ok"),
        ("2015-10-18 18:01:47,978 INFO [main] a.B: Created", "2016-01-01 00:00:00,000 INFO [main] a.B: Created"),
        ("2017-05-16 00:00:00.008 25746 INFO nova.api x", "2017-05-17 01:02:03.004 3 INFO nova.api x"),
        ("17/06/09 20:10:40 INFO Remoting: on", "18/07/10 20:10:41 INFO Remoting: on"),
        ("2015-07-29 17:41:44,747 - WARN  [a] - Lost", "2015-07-30 17:41:45,748 - WARN  [a] - Lost"),
        ("081109 203530 147 INFO dfs.DataNode: Receiving", "081110 000000 9 INFO dfs.DataNode: Receiving"),
        ('10.1.1.1 - - [10/Oct/2000:13:55:36 -0700] "GET /"', '10.1.1.1 - - [11/Oct/2000:13:55:37 -0700] "GET /"'),
        ("<34>Oct 11 22:14:15 host su: failed", "<34>Oct 12 00:00:00 host su: failed"),
        (
            "<165>1 2003-10-11T22:14:15.003Z h app 8710 ID47 - failed",
            "<165>1 2004-10-11T22:14:15.003Z h app 42 ID47 - failed",
        ),
    ],
)
def test_times_and_process_ids_in_front_do_not_tell_events_apart(once: str, again: str) -> None:
    assert line(once).stable == line(again).stable


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("081109 203530 147 INFO x: block 1", "081109 203530 147 INFO x: block 2"),
        ("Dec 10 06:55:46 a sshd[1]: failed", "Dec 10 06:55:46 b sshd[1]: failed"),
        ("1534567890 orders failed", "1534567891 orders failed"),
        ("backup of 2024-01-01 failed", "backup of 2024-01-02 failed"),
        ("2024-01-01 00:00:00 took 5 ms", "2024-01-01 00:00:00 took 6 ms"),
        ("2024-01-01 00:00:00 -5 degrees", "2024-01-01 00:00:00 5 degrees"),
        ("<34>host su: failed", "<35>host su: failed"),
    ],
)
def test_words_numbers_and_ids_of_the_message_do(one: str, other: str) -> None:
    assert line(one).stable != line(other).stable


def test_a_line_keeps_its_whole_text_for_models() -> None:
    text = "Dec 10 06:55:46 LabSZ sshd[24200]: Invalid user x"
    assert line(text).text == text


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (
            "<34>Oct 11 22:14:15 mymachine su[9]: 'su root' failed",
            {"severity": "crit", "facility": "auth", "host": "mymachine", "app": "su", "pid": "9"},
        ),
        ("<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!", {"severity": "notice", "facility": "user"}),
        ("<0>panic", {"severity": "emerg", "facility": "kern"}),
        (
            "<189>29: *Mar  1 18:46:11: %SYS-5-CONFIG_I: Configured",
            {"severity": "notice", "facility": "local7", "app": "%SYS-5-CONFIG_I"},
        ),
        (
            "<11>2026-01-01T00:00:00+01:00 web1 nginx: upstream timed out",
            {"severity": "err", "facility": "user", "host": "web1", "app": "nginx"},
        ),
        (
            '<165>1 2003-10-11T22:14:15.003Z my.example evntslog - ID47 [ex@1 i="3" s="a \\"b\\""][y z="1"] \ufeffAn',
            {
                "severity": "notice",
                "facility": "local4",
                "host": "my.example",
                "app": "evntslog",
                "msgid": "ID47",
                "ex@1.i": "3",
                "ex@1.s": 'a "b"',
                "y.z": "1",
            },
        ),
        (
            "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: failure",
            {"host": "combo", "app": "sshd(pam_unix)", "pid": "19939"},
        ),
        ("Jun 14 15:16:01 combo kernel: oops", {"host": "combo", "app": "kernel"}),
    ],
)
def test_syslog_fields(text: str, fields: dict[str, str]) -> None:
    assert line(text).fields == {f"syslog.{name}": value for name, value in fields.items()}


def test_a_priority_beyond_191_is_a_line_of_its_own() -> None:
    assert line("<192>hello").text == "<192>hello"
    assert line("<999>1 - - - - - - hello").fields == {}


def test_models_see_the_severity_of_syslog_in_words() -> None:
    assert line("<11>Oct 11 22:14:15 web1 nginx[3]: timed out").text == "err web1 nginx[3]: timed out"


def test_ecs() -> None:
    read = of_object(
        {
            "@timestamp": "2026-01-01T00:00:00Z",
            "message": "payment failed",
            "log": {"level": "ERROR", "logger": "a.B"},
            "service": {"name": "checkout"},
            "http": {"response": {"status_code": 502}},
            "tags": ["a", "b"],
            "trace": {"id": "abc"},
            "error": {"stack_trace": "Traceback\n  x"},
        }
    )
    assert read is not None
    assert read.text == "ERROR checkout: payment failed\nhttp.response.status_code=502 tags=a, b\nTraceback\n  x"
    assert read.fields["log.level"] == "ERROR"
    assert read.fields["service.name"] == "checkout"
    assert read.fields["http.response.status_code"] == 502
    assert read.fields["trace.id"] == "abc"


def test_loggers_of_other_schools_get_the_same_level_field() -> None:
    read = of_object({"level": "Warn", "msg": "slow", "ts": 1})
    assert read is not None
    assert (read.text, read.fields["log.level"], read.fields["level"]) == ("Warn: slow", "warn", "Warn")


def otel_record(body: str, number: int) -> dict[str, object]:
    return {
        "timeUnixNano": "1544712660300000000",
        "severityNumber": number,
        "severityText": "",
        "body": {"stringValue": body},
        "attributes": [{"key": "http.status", "value": {"intValue": "500"}}],
    }


def test_an_opentelemetry_record_single_and_exported() -> None:
    single = of_object(otel_record("boom", 17))
    assert single is not None
    assert single.text == "error: boom\nhttp.status=500"
    assert single.fields["log.level"] == "error"
    assert single.fields["http.status"] == 500

    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]}
    records = [otel_record("fine", 9), otel_record("boom", 17)]
    export = of_object({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": records}]}]})
    assert export is not None
    assert export.text == "info cart: fine\nhttp.status=500\nerror cart: boom\nhttp.status=500"
    assert (export.fields["log.level"], export.fields["service.name"]) == ("error", "cart")


def test_a_container_line_around_a_json_line() -> None:
    inner = orjson.dumps({"message": "down", "log": {"level": "error"}}).decode()
    docker = of_object({"log": inner + "\n", "stream": "stderr", "time": "2026-01-01T00:00:00Z"})
    assert docker is not None
    assert docker.text == "error: down"
    assert docker.fields == {"stream": "stderr", "log.level": "error"}
    cri = line("2026-01-01T00:00:00.1Z stderr F " + inner)
    assert cri == docker


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("Receiving block blk_-1608999687919862906 src: /10.250.19.102:54106", "Receiving block <*> src: /<*>"),
        ("uid=0 took 1.5s at 0xdeadbeef", "uid=<*> took <*> at <*>"),
        ("GET /v2/54fadb412c4e40cd/servers/detail HTTP", "GET /<*>/<*>/servers/detail HTTP"),
        ("id 9bc36dd9-91c5-4314-898a-47625eb93b09 done.", "id <*> done."),
        ("nothing to mask: at all", "nothing to mask: at all"),
        ("Zeile 7 für Köln", "Zeile <*> für Köln"),
    ],
)
def test_templates_mask_words_with_digits(text: str, template: str) -> None:
    assert log_lines.template(text) == template
