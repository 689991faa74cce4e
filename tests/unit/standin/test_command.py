"""`python -m local.standin`: a line of JSON when it listens, gone with its parent, errors in words."""

import asyncio
import sys
from pathlib import Path

import aiohttp
import orjson
from click.testing import CliRunner

from local.standin.__main__ import main


async def test_it_says_where_it_listens_and_ends_with_its_standard_input() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.standin", "--latency-scale", "0", "--until-eof"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said = orjson.loads(await process.stdout.readline())
        assert said["simulated"] is True
        async with aiohttp.ClientSession() as session, session.get(said["base_url"] + "/models") as reply:
            assert reply.status == 200
        process.stdin.close()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()


def test_a_file_that_is_no_gold_is_named(tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_text("not json\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["--gold", str(gold)])
    assert result.exit_code == 1
    assert "gold.jsonl, line 1: no gold record" in result.output


def test_a_latency_below_zero_is_refused() -> None:
    result = CliRunner().invoke(main, ["--latency-scale", "-1"])
    assert result.exit_code == 1
    assert "latency_scale = -1.0 is below 0" in result.output
