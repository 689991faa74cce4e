"""The notify stage on a real Kafka, with targets that are real HTTP servers."""

import asyncio
import base64
import hashlib
import hmac
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from processors.errors import ConfigurationError
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import until
from tests.kafka.notify import KEY, SECRETS, Target, alert, ids, policy_text, running, tell, topics, webhook
from tests.kafka.pipelines import SLUICE, sluice
from topics import codec
from topics.catalog import ALERTS, NOTIFY_DEAD_LETTERS
from topics.messages import Alert


def seen(target: Target) -> list[tuple[str, str, Any]]:
    """Method, path and body of each request."""
    return [
        (request.method, request.path, body) for (request, _), body in zip(target.requests, target.bodies, strict=True)
    ]


async def test_each_kind_is_told_in_its_own_form(bus: Bus) -> None:
    await topics(bus, partitions=2)
    fires, resolves = alert(), alert(revision=2, status="resolved")
    async with Target() as alertmanager, Target() as slack, Target() as pagerduty, Target() as hook:
        notify = f"""
            [[notify]]
            kind = "alertmanager"
            url = "${{ALERTMANAGER_URL}}"
            [[notify]]
            kind = "slack"
            url_env = "SLACK_URL"
            [[notify]]
            kind = "pagerduty"
            url = "{pagerduty.url}/v2/enqueue"
            routing_key_env = "ROUTING_KEY"
            {webhook(hook)}
        """
        env = {"ALERTMANAGER_URL": alertmanager.url, "SLACK_URL": f"{slack.url}/services/T0/B0/x"}
        async with running(bus, notify, env=env) as worker:
            for one in (fires, resolves):
                await tell(bus, one)
                await asyncio.gather(*(target.got(one.revision) for target in (slack, pagerduty, hook)))
            await until(lambda: resolves.endsAt in _ends(alertmanager), "the end at Alertmanager")
            told = [
                await worker.metric("sluice_notifications_total", kind=kind, outcome="told")
                for kind in ("alertmanager", "slack", "pagerduty", "webhook")
            ]
    assert all(count >= 2 for count in told)
    method, path, body = seen(alertmanager)[0]
    assert (method, path) == ("POST", "/api/v2/alerts")
    assert (body[0]["labels"], body[0]["startsAt"]) == (dict(fires.labels), fires.startsAt)
    assert body[0]["endsAt"] > body[0]["startsAt"]
    assert [path for _, path, _ in seen(slack)] == ["/services/T0/B0/x"] * 2
    assert [body["blocks"][0]["text"]["text"] for body in slack.bodies] == [
        "Firing: critical outage in logs",
        "Resolved: critical outage in logs",
    ]
    assert [
        (path, body["event_action"], body["dedup_key"], body["routing_key"]) for _, path, body in seen(pagerduty)
    ] == [
        ("/v2/enqueue", "trigger", fires.id, "R0UTING"),
        ("/v2/enqueue", "resolve", fires.id, "R0UTING"),
    ]
    assert [codec.decode(Alert, body) for _, body in hook.requests] == [fires, resolves]
    for request, body in hook.requests:
        headers = request.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
    assert await bus.read(bus.names.topic(NOTIFY_DEAD_LETTERS)) == []


def _ends(alertmanager: Target) -> list[str]:
    return [one["endsAt"].replace("+00:00", "Z") for body in alertmanager.bodies for one in body]


async def test_a_target_that_fails_and_one_that_wants_a_pause_are_told_later(bus: Bus) -> None:
    await topics(bus)
    answers = [web.Response(status=500), web.Response(status=429, headers={"retry-after": "1"})]
    async with Target() as hook:
        hook.answer = lambda: answers.pop(0) if answers else web.Response()
        async with running(bus, webhook(hook)):
            await tell(bus, alert())
            await hook.got(1)
    assert (hook.tried, hook.ids) == (3, [alert().id])


async def test_a_target_that_is_away_does_not_hold_up_the_others_and_misses_nothing(bus: Bus) -> None:
    await topics(bus, partitions=2)
    alerts = [alert(number) for number in range(30)]
    async with Target() as down, Target() as up:
        down.answer = lambda: web.Response(status=503)
        async with running(bus, webhook(down) + webhook(up)):
            await tell(bus, *alerts)
            await up.got(30)
            assert down.requests == []
            await tell(bus, alert(1, revision=2, status="resolved"))
            await up.got(31)
            down.answer = web.Response
            await down.got(30)
    assert set(down.ids) == ids(alerts)
    assert [body["status"] for body in down.bodies if body["id"] == alert(1).id] == ["resolved"], "what is true by now"


async def test_what_a_target_refuses_is_a_dead_letter_that_names_it(bus: Bus) -> None:
    await topics(bus)
    async with Target() as picky, Target() as other:
        picky.answer = lambda: web.Response(status=400, text="no such channel")
        async with running(bus, webhook(picky) + webhook(other)):
            await tell(bus, alert(1))
            await bus.produce(bus.names.topic(ALERTS), [Send(b"{}", b"not-an-alert")])

            async def both() -> bool:
                return len(await bus.read(bus.names.topic(NOTIFY_DEAD_LETTERS))) == 2

            await until(both, "two dead letters")
            await other.got(1)
    letters = {record.key: record for record in await bus.read(bus.names.topic(NOTIFY_DEAD_LETTERS))}
    refused = letters[alert(1).id.encode()]
    headers = dict(refused.headers)
    assert codec.decode(Alert, refused.value).id == alert(1).id
    assert headers["sluice.reason"] == b"target_refused"
    assert headers["sluice.error"] == b"notify[0] (webhook): status 400: no such channel"
    assert (headers["sluice.stage"], headers["sluice.origin.topic"]) == (b"notify", bus.names.topic(ALERTS).encode())
    assert dict(letters[b"not-an-alert"].headers)["sluice.reason"] == b"unknown_shape"
    assert picky.tried == 1


async def test_silences_conditions_and_the_page_cap_hold(bus: Bus) -> None:
    await topics(bus)
    async with Target() as silenced, Target() as chosen, Target() as capped:
        notify = (
            webhook(silenced, silences='[{ labels = { tenant = "acme" }, until = 2999-01-01T00:00:00Z }]')
            + webhook(chosen, when='{ labels = { number = "2" } }')
            + webhook(capped, pages_per_hour="2")
        )
        async with running(bus, notify) as worker:
            await tell(bus, *(alert(number) for number in range(1, 5)))
            await chosen.got(1)
            await capped.got(2)

            async def held() -> bool:
                return await worker.metric("sluice_notifications_total", kind="webhook", outcome="held") >= 2

            await until(held, "what the cap holds back")
    assert silenced.tried == 0
    assert chosen.ids == [alert(2).id]
    assert len(capped.ids) == 2


async def test_a_new_group_pages_nobody_for_what_was_and_tells_alertmanager_what_still_fires(bus: Bus) -> None:
    await topics(bus, partitions=2)
    await tell(bus, alert(1), alert(2), alert(2, revision=2, status="resolved"), alert(3))
    await bus.produce(bus.names.topic(ALERTS), [Send(None, alert(3).id.encode())])
    async with Target() as alertmanager, Target() as hook:
        notify = f'[[notify]]\nkind = "alertmanager"\nurl = "{alertmanager.url}"\nrepeat = "1s"\n' + webhook(hook)
        for _ in range(2):  # and so does a restart
            alertmanager.requests.clear()
            async with running(bus, notify):
                await until(lambda: {1, 2} <= _numbers(alertmanager), "what fires and what has just resolved")
        assert _numbers(alertmanager) == {1, 2}
        firing = {one["labels"]["number"]: _in_future(one["endsAt"]) for body in alertmanager.bodies for one in body}
        assert firing == {"1": True, "2": False}
        assert hook.tried == 0


def _numbers(alertmanager: Target) -> set[int]:
    return {int(one["labels"]["number"]) for body in alertmanager.bodies for one in body}


def _in_future(rfc3339: str) -> bool:
    return rfc3339[:19] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())


async def test_logs_name_neither_address_nor_key_nor_content(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    await topics(bus)
    answers = [web.Response(status=500), web.Response(status=400, text="no space left is no news")]
    async with Target() as hook:
        hook.answer = lambda: answers.pop(0) if answers else web.Response()
        async with running(bus, webhook(hook)):
            await tell(bus, alert(1))
            await until(lambda: hook.tried == 2, "two tries")
            await tell(bus, alert(2))
            await hook.got(1)
    said = "\n".join(record.getMessage() for record in caplog.records if record.name == "sluice.notify")
    assert "notify[0] (webhook)" in said
    assert hook.url not in said
    assert "no space left" not in said
    assert SECRETS["SIGNING_SECRET"] not in caplog.text


@pytest.mark.parametrize(
    ("notify", "said"),
    [
        (
            '[[notify]]\nkind = "slack"\nurl_env = "NOT_SET"\n',
            "notify[0].url_env = NOT_SET: this environment variable is not set",
        ),
        (
            '[[notify]]\nkind = "slack"\nurl_env = "ROUTING_KEY"\n',
            "notify[0].url_env: what it names is no http:// or https:// address",
        ),
        (
            '[[notify]]\nkind = "webhook"\nurl = "http://x"\nsecret_env = "ROUTING_KEY"\n',
            "notify[0].secret_env = ROUTING_KEY: what it holds is no signing secret",
        ),
        ('[[notify]]\nkind = "alertmanager"\nurl = "${NOT_SET}"\n', "the environment variable NOT_SET is not set"),
    ],
)
async def test_what_the_environment_lacks_is_told_at_the_start(bus: Bus, notify: str, said: str) -> None:
    await topics(bus)
    with pytest.raises(ConfigurationError) as told:
        async with running(bus, notify):
            pass
    assert said in str(told.value)
    assert "R0UTING" not in str(told.value)


async def test_a_policy_that_notifies_nobody_says_so(bus: Bus, tmp_path: Path) -> None:
    (tmp_path / "sluice.toml").write_text(policy_text(bus, ""))
    said = await sluice("run", "notify", folder=tmp_path, env={"KAFKA_BOOTSTRAP_SERVERS": bus.bootstrap_servers})
    assert said.is_refusal()
    assert "add a [[notify]]" in said.error


@pytest.mark.slow
async def test_a_worker_that_is_killed_again_and_again_loses_no_alert(bus: Bus, tmp_path: Path) -> None:
    """Killed while alerts come, while calls are under way and while the target is away. A webhook's last word about
    each alert is the alert's last revision."""
    await topics(bus, partitions=4)
    async with Target() as hook:
        (tmp_path / "sluice.toml").write_text(policy_text(bus, webhook(hook)))
        env = {**os.environ, **SECRETS, "KAFKA_BOOTSTRAP_SERVERS": bus.bootstrap_servers, "SLUICE_HTTP_PORT": "0"}
        env["SLUICE_INSTANCE_ID"] = "notify-0"  # so that the partitions do not wait for the session to end
        log = tmp_path / "log"
        for life in range(4):
            with log.open("wb") as stderr:
                worker = await asyncio.create_subprocess_exec(
                    SLUICE, "run", "notify", cwd=tmp_path, env=env, stderr=stderr
                )
            try:
                if life == 0:
                    await until(lambda: b"begins" in log.read_bytes(), "the group's beginning")
                hook.answer = web.Response if life % 2 else lambda: web.Response(status=503)
                batch = [alert(life * 100 + number) for number in range(50)]
                await tell(bus, *batch)
                await tell(bus, *(alert(life * 100 + number, revision=2, status="resolved") for number in range(25)))
                tried = hook.tried
                await until(lambda tried=tried: hook.tried > tried, "a call")  # type: ignore[misc]
                if life == 3:
                    await until(lambda: _last_words(hook) == _expected(4), "the last word about each alert")
            finally:
                worker.send_signal(signal.SIGKILL)
                await worker.wait()
    assert _last_words(hook) == _expected(4)


def _last_words(hook: Target) -> dict[str, tuple[int, str]]:
    return {body["id"]: (body["revision"], body["status"]) for body in hook.bodies}


def _expected(lives: int) -> dict[str, tuple[int, str]]:
    return {
        alert(life * 100 + number).id: (2, "resolved") if number < 25 else (1, "firing")
        for life in range(lives)
        for number in range(50)
    }
