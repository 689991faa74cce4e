"""Files and Batches: what the provider refuses, and the life of a job."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from local.standin import Fault, StandInSettings, responses_api
from local.standin.batch_input import ERRORS_MAX, REQUESTS_MAX, read
from local.standin.problems import Problem
from local.standin.service import Reply, Service
from tests.fakes import ManualClock, settle

ENDPOINT = "/v1/responses"


def served(clock: ManualClock | None = None, **settings: Any) -> Service:
    return Service(StandInSettings(**({"latency_scale": 0} | settings)), clock or ManualClock())


def text(custom_id: str = "one", url: str = ENDPOINT, method: str = "POST", **body: Any) -> bytes:
    asked = {"model": "gpt-5.4-nano", "input": "hello"} | body
    return orjson.dumps({"custom_id": custom_id, "method": method, "url": url, "body": asked}) + b"\n"


def upload(service: Service, data: bytes, **form: str) -> str:
    return service.files.upload({"purpose": "batch"} | form, "asks.jsonl", data).id


def create(service: Service, file_id: str, **more: Any) -> str:
    body = {"input_file_id": file_id, "endpoint": ENDPOINT, "completion_window": "24h"}
    return str(service.batches.create(body | more)["id"])


async def ended(service: Service, job_id: str) -> dict[str, Any]:
    """A job whose time does not pass, at its end."""
    async with asyncio.timeout(10):
        while service.batches.get(job_id)["status"] in ("validating", "in_progress", "finalizing", "cancelling"):
            await settle()
    return service.batches.get(job_id)


def lines(service: Service, file_id: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in service.files.get(file_id).data.splitlines()]


@pytest.mark.parametrize(
    ("form", "name", "param"),
    [
        ({}, "a.jsonl", "purpose"),
        ({"purpose": "fun"}, "a.jsonl", "purpose"),
        ({"purpose": "batch"}, None, "file"),
        ({"purpose": "batch"}, "a.csv", "file"),
        (
            {"purpose": "batch", "expires_after[anchor]": "now", "expires_after[seconds]": "3600"},
            "a.jsonl",
            "expires_after.anchor",
        ),
        (
            {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "60"},
            "a.jsonl",
            "expires_after.seconds",
        ),
    ],
)
def test_a_file_against_the_rules_is_refused(form: Mapping[str, str], name: str | None, param: str) -> None:
    with pytest.raises(Problem) as caught:
        served().files.upload(form, name, b"x")
    assert caught.value.body()["error"]["param"] == param


async def test_a_file_expires_and_can_be_deleted_once() -> None:
    clock = ManualClock()
    service = served(clock)
    kept = upload(service, b"x", **{"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"})
    gone = upload(service, b"y")
    assert service.files.delete(gone) == {"id": gone, "object": "file", "deleted": True}
    with pytest.raises(Problem, match="No such File object"):
        service.files.delete(gone)
    await clock.advance(3_599)
    assert service.files.get(kept).data == b"x"
    await clock.advance(1)
    with pytest.raises(Problem, match="No such File object"):
        service.files.get(kept)


def test_lists_come_in_pages_newest_first() -> None:
    service = served()
    ids = [upload(service, b"x") for _ in range(5)]
    seen: list[str] = []
    after: dict[str, str] = {}
    for _ in range(3):
        page = service.files.page({"limit": "2", "purpose": "batch"} | after)
        seen += [file["id"] for file in page["data"]]
        after = {"after": page["last_id"]}
    assert (seen, page["has_more"]) == (ids[::-1], False)
    assert service.files.page({"purpose": "user_data"})["data"] == []
    with pytest.raises(Problem, match="limit"):
        service.files.page({"limit": "0"})


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"endpoint": None}, "endpoint"),
        ({"endpoint": "/v1/guesses"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": "file-0"}, "id"),
        ({"metadata": {"a": "b" * 513}}, "metadata"),
        ({"metadata": {str(n): "b" for n in range(17)}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "expires_after.seconds"),
    ],
)
async def test_a_job_against_the_rules_is_refused(body: dict[str, Any], param: str) -> None:
    service = served()
    with pytest.raises(Problem) as caught:
        create(service, upload(service, text()), **body)
    assert caught.value.body()["error"]["param"] == param


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"", "empty_file", None),
        (text() + b"{no json\n", "invalid_json_line", 2),
        (text() + text(), "duplicate_custom_id", 2),
        (text("x" * 65), "missing_required_parameter", 1),
        (text(url="/v1/chat/completions"), "url_mismatch", 1),
        (text(method="GET"), "invalid_method", 1),
        (text() + text("two", model="gpt-5.4"), "model_mismatch", 2),
        (text(model="gpt-1"), "model_not_found", None),
    ],
)
async def test_what_is_wrong_with_an_input_is_told_by_its_job(data: bytes, code: str, line: int | None) -> None:
    service = served()
    job = await ended(service, create(service, upload(service, data)))
    assert (job["status"], job["output_file_id"]) == ("failed", None)
    assert (job["errors"]["data"][0]["code"], job["errors"]["data"][0]["line"]) == (code, line)
    assert service.report()["usd"] == 0


def test_an_input_has_a_size_and_its_errors_an_end() -> None:
    many = b"".join(text(str(number)) for number in range(REQUESTS_MAX + 1))
    assert [error["code"] for error in read(many, ENDPOINT).errors] == ["too_many_tasks"]
    assert len(read(b"x\n" * 500, ENDPOINT).errors) == ERRORS_MAX


async def test_a_job_answers_every_line_at_half_the_price() -> None:
    service = served()
    data = b"".join(text(str(number)) for number in range(7)) + text("bad", temperature=9)
    job = await ended(service, create(service, upload(service, data), metadata={"for": "us"}))
    assert (job["status"], job["metadata"]) == ("completed", {"for": "us"})
    assert job["request_counts"] == {"total": 8, "completed": 7, "failed": 1}
    good, bad = lines(service, job["output_file_id"]), lines(service, job["error_file_id"])
    assert [one["custom_id"] for one in good] == [str(number) for number in range(7)]
    assert all(one["error"] is None and one["response"]["status_code"] == 200 for one in good)
    assert [(one["custom_id"], one["response"]["status_code"]) for one in bad] == [("bad", 400)]
    assert bad[0]["response"]["body"]["error"]["param"] == "temperature"
    in_job = service.report()["usd"]
    assert service.statistics.paid == {str(number): 1 for number in range(7)}
    for _ in range(7):
        await service.serve(responses_api, orjson.dumps({"model": "gpt-5.4-nano", "input": "hello"}), "")
    assert in_job == pytest.approx((service.report()["usd"] - in_job) / 2)


async def test_a_job_takes_its_time_and_pays_as_it_goes() -> None:
    clock = ManualClock()
    service = served(clock, latency_scale=0.5, batch_seconds=200)
    job_id = create(service, upload(service, b"".join(text(str(number)) for number in range(9))))
    await clock.advance(50)
    assert service.batches.get(job_id)["status"] == "in_progress"
    assert 3 <= service.statistics.paid.total() <= 5
    await clock.advance(51)
    assert service.batches.get(job_id)["status"] == "completed"
    await service.batches.close()


async def test_a_cancelled_job_gives_what_is_done() -> None:
    clock = ManualClock()
    service = served(clock, latency_scale=1, batch_seconds=100)
    job_id = create(service, upload(service, b"".join(text(str(number)) for number in range(9))))
    await clock.advance(45)
    assert service.batches.cancel(job_id)["status"] == "cancelling"
    await clock.advance(30)
    job = service.batches.get(job_id)
    assert job["status"] == "cancelled"
    done = job["request_counts"]["completed"]
    assert 0 < done < 9
    assert len(lines(service, job["output_file_id"])) == done == service.statistics.paid.total()
    assert {one["error"]["code"] for one in lines(service, job["error_file_id"])} == {"batch_cancelled"}
    with pytest.raises(Problem, match="Cannot cancel a batch with status 'cancelled'"):
        service.batches.cancel(job_id)


async def test_a_job_expires_on_request_or_after_a_day() -> None:
    service = served()
    service.faults.add(Fault(kind="batch_expired", count=1))
    job = await ended(service, create(service, upload(service, text("a") + text("b") + text("c") + text("d"))))
    assert (job["status"], job["request_counts"]["completed"]) == ("expired", 2)
    assert [one["error"]["code"] for one in lines(service, job["error_file_id"])] == ["batch_expired"] * 2
    assert [one["response"] for one in lines(service, job["error_file_id"])] == [None] * 2

    clock = ManualClock()
    slow = served(clock, latency_scale=1, batch_seconds=40 * 3600)
    job_id = create(slow, upload(slow, b"".join(text(str(number)) for number in range(10))))
    await clock.advance(40 * 3600)
    job = slow.batches.get(job_id)
    assert job["status"] == "expired"
    assert 4 <= job["request_counts"]["completed"] <= 6


async def test_the_queue_of_a_model_has_an_end_of_its_own() -> None:
    clock = ManualClock()
    service = served(clock, latency_scale=1, batch_seconds=100, batch_queue_tokens=1_000)
    first = create(service, upload(service, text(input="word " * 700)))
    await settle()
    second = create(service, upload(service, text(input="word " * 700)))
    await settle()
    assert service.batches.get(second)["errors"]["data"][0]["code"] == "token_limit_exceeded"
    await clock.advance(101)
    assert service.batches.get(first)["status"] == "completed"
    third = create(service, upload(service, text(input="word " * 700)))
    await clock.advance(101)
    assert service.batches.get(third)["status"] == "completed"


def test_the_key_is_asked_for_and_faults_strike() -> None:
    service = served(key="sk-right")

    def page() -> Reply:
        return service.object_call("files", "Bearer sk-right", lambda: service.files.page({}))

    assert service.object_call("files", "", lambda: service.files.page({})).status == 401
    assert page().status == 200
    service.faults.add(Fault(kind="server_error", model="files", count=1))
    assert [page().status, page().status] == [503, 200]
