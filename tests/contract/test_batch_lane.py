"""The batch lane before the stand-in, over HTTP: jobs that go well, and each way in which they do not."""

import asyncio
from dataclasses import replace
from typing import Any

import aiohttp
import orjson
import pytest

from local.standin import Fault, StandIn, StandInSettings
from processors.asking import Answer, Waiting
from processors.errors import BudgetSpent, ConfigurationError
from processors.gateway import batch_index
from tests.contract.batching import DAY_S, QUICK, answered, batching, jobs, line
from tests.unit.gateway.provider import budgeted, gateway
from topics import limits
from topics.messages import Spend

AT_ONCE = StandInSettings(latency_scale=0)
SLOW = StandInSettings(latency_scale=1, batch_seconds=600)


async def test_asks_of_a_day_share_a_job_at_half_the_price_and_enter_the_ledger_once() -> None:
    spends: list[Spend] = []
    async with StandIn(AT_ONCE) as standin, batching(standin, spends) as models:
        answers = await asyncio.gather(*(answered(models, line(number, messages=3)) for number in range(20)))
        assert set(standin.paid().values()) == {1}
        cost = standin.stats()["usd"] * 1e6
        (job,) = jobs(standin)
    assert job["request_counts"] == {"total": 20, "completed": 20, "failed": 0}
    assert {answer.lane for answer in answers} == {"batch"}
    assert all(answer.complete and answer.text.startswith('{"label"') for answer in answers)
    assert len({spend.call_id for spend in spends}) == len(spends) == 20
    assert {(s.lane, s.status, s.stream, s.tenant, s.purpose, s.messages) for s in spends} == {
        ("batch", 200, "logs", "acme", "triage", 3)
    }
    assert sum(spend.usd_micros for spend in spends) == pytest.approx(cost, abs=10)
    assert sum(answer.cost_usd_micros for answer in answers) == sum(spend.usd_micros for spend in spends)


async def test_it_is_found_by_any_message_that_it_is_about() -> None:
    about = {f"logs.in/0/{number}": f"code {number}" for number in range(30)}
    async with StandIn(AT_ONCE) as standin, batching(standin, []) as models:
        asked = line(1, about=about, note="control 17 C")
        waiting = await models.submit(asked)
        assert waiting is not None
        assert isinstance(await models.collect("nano", "logs", "logs.in/0/7"), Waiting)
        answer = await answered(models, asked)
        for name in (waiting.custom_id, "logs.in/0/0", "logs.in/0/29"):
            assert await models.collect("nano", "logs", name) == answer
        assert await models.collect("nano", "logs", "logs.in/0/30") is None
        assert await models.collect("nano", "mails", "logs.in/0/7") is None
    assert (list(answer.about.items()), answer.note) == (list(about.items()), "control 17 C")


async def test_a_message_that_is_in_a_job_is_not_asked_again_in_other_company() -> None:
    async with StandIn(AT_ONCE) as standin, batching(standin, []) as models:
        first = await answered(models, line(1, key=None, about={"a": "1", "b": "2"}))
        other = await answered(models, line(2, key=None, about={"b": "1", "c": "2"}))
        assert len(standin.paid()) == 1
    assert other == first


async def test_the_same_ask_has_the_same_id_and_another_a_different_one() -> None:
    async with StandIn(AT_ONCE) as standin, batching(standin, []) as models:
        lane = models._batch_lane_of("nano")
        ids = [
            lane.custom_id(one)
            for one in (line(1), line(1, deadline_s=5.0, tenant="other"), line(2), replace(line(1), stream="x"))
        ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert all(len(custom_id) <= 64 for custom_id in ids)


async def test_an_expired_job_is_used_as_far_as_it_went_and_the_rest_goes_by_flex() -> None:
    spends: list[Spend] = []
    settings = replace(AT_ONCE, flex_unavailable=0.0)
    async with StandIn(settings) as standin, batching(standin, spends) as models:
        standin.fault(Fault(kind="batch_expired", count=1))
        answers = await asyncio.gather(*(answered(models, line(number)) for number in range(10)))
        assert (len(standin.paid()), len(jobs(standin))) == (5, 1)
    assert sorted(answer.lane for answer in answers) == ["batch"] * 5 + ["flex"] * 5
    assert sorted(spend.lane for spend in spends) == ["batch"] * 5 + ["flex"] * 5


@pytest.mark.parametrize("status", [400, 500])
async def test_failed_lines_cost_nothing_and_go_by_flex(status: int) -> None:
    spends: list[Spend] = []
    settings = replace(AT_ONCE, flex_unavailable=0.0)
    async with StandIn(settings) as standin, batching(standin, spends) as models:
        standin.fault(Fault(kind="batch_line_error", count=3, status=status))
        answers = await asyncio.gather(*(answered(models, line(number)) for number in range(10)))
    assert sorted(answer.lane for answer in answers) == ["batch"] * 7 + ["flex"] * 3
    assert sum(spend.lane == "batch" and (spend.status, spend.usd_micros) == (status, 0) for spend in spends) == 3


async def test_what_a_job_was_about_and_did_not_answer_goes_into_no_other() -> None:
    async with StandIn(AT_ONCE) as standin, batching(standin, []) as models:
        standin.fault(Fault(kind="batch_line_error", count=1, status=400))
        await models.submit(line(1, key=None, about={"a": "1", "b": "2"}))
        async with asyncio.timeout(20):
            while isinstance(await models.collect("nano", "logs", "b"), Waiting):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert await models.collect("nano", "logs", "b") is None
        assert await models.submit(line(2, key=None, about={"b": "1", "c": "2"})) is None
        assert isinstance(await models.submit(line(3, key=None, about={"c": "1"})), Waiting)


async def test_where_too_much_is_under_way_it_goes_by_flex(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that would be forgotten before their answers are used would be paid twice."""
    monkeypatch.setattr(batch_index, "BATCH_JOBS_MAX", 2)
    async with StandIn(replace(SLOW, flex_unavailable=0)) as standin, batching(standin, []) as models:
        assert isinstance(await models.later(line(1)), Waiting)
        async with asyncio.timeout(20):
            while not jobs(standin):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)  # for the answer about the job
        got = await models.later(line(2))
        assert isinstance(await models.later(line(1)), Waiting)
    assert isinstance(got, Answer)
    assert got.lane == "flex"


async def test_the_more_jobs_are_under_way_the_longer_requests_gather(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BATCH_LINGER_JOBS", 1)
    async with StandIn(SLOW) as standin, batching(standin, []) as models:
        first = await models.submit(line(1))
        async with asyncio.timeout(20):
            while not jobs(standin):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)  # for the answer about the job
        second = await models.submit(line(2))
    assert first is not None
    assert second is not None
    assert second.again_s - first.again_s == pytest.approx(QUICK.linger_s), "who asks again finds it in a job"


async def test_an_answer_that_cannot_be_waited_for_is_none() -> None:
    late_s = limits.PARK_SECONDS_MAX + limits.BATCH_LATE_SECONDS
    async with StandIn(SLOW) as standin, batching(standin, []) as models:
        await models.submit(line(1, about={"a": "1"}))
        assert isinstance(await models.collect("nano", "logs", "a", deadline_s=late_s), Waiting)
        assert await models.collect("nano", "logs", "a", deadline_s=late_s - 1) is None


async def test_a_job_that_fails_before_it_begins_is_made_anew() -> None:
    spends: list[Spend] = []
    async with StandIn(AT_ONCE) as standin, batching(standin, spends) as models:
        standin.fault(Fault(kind="batch_refused", count=1))
        answers = await asyncio.gather(*(answered(models, line(number)) for number in range(5)))
        assert sorted(job["status"] for job in jobs(standin)) == ["completed", "failed"]
        assert sorted(standin.paid().values()) == [1] * 5
    assert {answer.lane for answer in answers} == {"batch"}
    assert len(spends) == 5


async def test_requests_of_an_input_that_is_refused_go_by_flex() -> None:
    async with StandIn(replace(AT_ONCE, flex_unavailable=0.0)) as standin, batching(standin, []) as models:
        standin.fault(Fault(kind="batch_invalid"))
        answers = await asyncio.gather(*(answered(models, line(number)) for number in range(5)))
        assert [job["status"] for job in jobs(standin)] == ["failed"]
    assert {answer.lane for answer in answers} == {"flex"}


async def test_a_job_is_cancelled_before_its_first_deadline_and_what_it_did_is_used() -> None:
    spends: list[Spend] = []
    # Two of ten lines are done after two of eleven steps; then the deadline comes near.
    settings = StandInSettings(latency_scale=1, batch_seconds=5.5, flex_unavailable=0.0)
    pace = replace(QUICK, cancel_s=DAY_S - 1.25)
    async with StandIn(settings) as standin, batching(standin, spends, pace=pace) as models:
        answers = await asyncio.gather(*(answered(models, line(number)) for number in range(10)))
        (job,) = jobs(standin)
        assert job["status"] == "cancelled"
        done = len(standin.paid())
    assert 0 < done < 10
    assert sorted(answer.lane for answer in answers) == ["batch"] * done + ["flex"] * (10 - done)


async def test_who_has_no_time_left_does_not_wait_for_the_job() -> None:
    async with StandIn(replace(SLOW, flex_unavailable=0)) as standin, batching(standin, []) as models:
        assert isinstance(await models.later(line(1)), Waiting)
        got = await models.later(line(1, deadline_s=100.0))
    assert isinstance(got, Answer)
    assert got.lane == "realtime"


@pytest.mark.parametrize("kind", ["reset", "garbage_body"])
async def test_a_lost_answer_about_a_new_job_makes_no_second_one(kind: Any) -> None:
    async with StandIn(AT_ONCE) as standin, batching(standin, []) as models:
        lane = models._batch_lane_of("nano")
        create = lane._api.create

        async def create_unheard(file_id: str, metadata: Any) -> Any:
            standin.fault(Fault(kind=kind, model="batches", count=1))
            return await create(file_id, metadata)

        lane._api.create = create_unheard  # type: ignore[method-assign]
        await asyncio.gather(*(answered(models, line(number)) for number in range(5)))
        assert len(jobs(standin)) == 1
        assert set(standin.paid().values()) == {1}


async def test_a_job_that_was_not_made_is_made() -> None:
    async with StandIn(AT_ONCE) as standin, batching(standin, []) as models:
        standin.fault(Fault(kind="server_error", model="files", count=1))
        standin.fault(Fault(kind="server_error", model="batches", count=2))
        await answered(models, line(1), seconds=40)
        assert sorted(standin.paid().values()) == [1]


async def test_two_workers_that_are_asked_the_same_pay_once() -> None:
    spends: list[Spend] = []
    async with (
        StandIn(AT_ONCE) as standin,
        batching(standin, spends) as one,
        batching(standin, spends, seed=8) as two,
    ):
        both = [answered(models, line(number)) for number in range(10) for models in (one, two)]
        answers = await asyncio.gather(*both)
        assert sorted(standin.paid().values()) == [1] * 10
        await asyncio.sleep(1 + 2 * QUICK.adopt_s)  # for the other one to see that nothing is left to enter
    assert {answer.lane for answer in answers} == {"batch"}
    assert len(spends) == 10  # and it is entered once


async def test_somebody_elses_jobs_and_files_are_never_touched() -> None:
    pace = replace(QUICK, orphan_s=0.2, cancel_s=0)
    async with StandIn(SLOW) as standin, batching(standin, [], pace=pace) as models:
        others = {"made_by": "somebody"}, {"made_by": "sluice", "scope": "another installation"}, None
        async with aiohttp.ClientSession() as http:
            for number, metadata in enumerate(others):
                form = aiohttp.FormData({"purpose": "batch"})
                body = {"model": "gpt-5.4-nano", "input": "theirs"}
                text = {"custom_id": f"theirs-{number}", "method": "POST", "url": "/v1/responses", "body": body}
                form.add_field("file", orjson.dumps(text), filename="sluice-theirs-1.jsonl")
                async with http.post(f"{standin.base_url}/files", data=form) as response:
                    file_id = (await response.json())["id"]
                made = {"input_file_id": file_id, "endpoint": "/v1/responses", "completion_window": "24h"}
                async with http.post(f"{standin.base_url}/batches", json=made | {"metadata": metadata}) as response:
                    assert response.status == 200
        await models.later(line(1))
        await asyncio.sleep(1.5)
        statuses = [job["status"] for job in jobs(standin)]
        files = standin._service.files.page({"purpose": "batch"})["data"]
    assert statuses == ["in_progress"] * 4
    assert len(files) == 4


async def test_a_request_that_no_budget_covers_is_not_taken_and_what_a_job_saved_is_given_back() -> None:
    async with StandIn(AT_ONCE) as standin, batching(standin, [], **budgeted(0.0003)) as models:
        await models.submit(line(1))
        taken = await asyncio.gather(*(models.submit(line(number)) for number in range(2, 9)), return_exceptions=True)
        assert any(isinstance(error, BudgetSpent) for error in taken)
        assert isinstance(await answered(models, line(1)), Answer)
        assert isinstance(await models.submit(line(9)), Waiting)


async def test_a_server_without_a_batch_api_says_what_to_write() -> None:
    async with StandIn(AT_ONCE) as standin, gateway(standin, []) as models:
        assert isinstance(await models.later(line(1)), Answer)
        with pytest.raises(ConfigurationError, match=r"providers\.openai\.lanes"):
            await models.submit(line(1))


def counting(lane: Any) -> list[str]:
    """The files that are downloaded from now on."""
    read: list[str] = []
    lines = lane._api.lines

    async def counted(file_id: str, *rest: Any) -> Any:
        read.append(file_id)
        return await lines(file_id, *rest)

    lane._api.lines = counted
    return read


async def test_answers_that_are_not_held_are_downloaded_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_index, "BATCH_READ_REQUESTS_MAX", 1)
    async with StandIn(AT_ONCE) as standin, batching(standin, []) as gateway:
        await answered(gateway, line(1, key=None, about={f"a{n}": str(n) for n in range(8)}))
        await answered(gateway, line(2, key=None, about={"b": "1"}))
        read = counting(gateway._batch_lane_of("nano"))
        found = await asyncio.gather(*(gateway.collect("nano", "logs", f"a{n}") for n in range(8)))
        assert all(isinstance(each, Answer) for each in found)
        assert len(read) == 1


async def test_jobs_that_are_forgotten_because_there_are_too_many_are_not_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch_index, "BATCH_NAMES_MAX", 12)
    async with StandIn(AT_ONCE) as standin, batching(standin, []) as gateway:
        for number in range(6):
            await answered(gateway, line(number, key=None, about={f"{number}-{n}": str(n) for n in range(3)}))
        lane = gateway._batch_lane_of("nano")
        read = counting(lane)
        for _ in range(3):
            await lane._look()
        assert read == []
        assert isinstance(await gateway.collect("nano", "logs", "5-0"), Answer), "the newest is known"
