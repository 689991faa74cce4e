"""Commands, environment, ports and bounds of the manifests and the Dockerfile are those of the code."""

import itertools
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import aiohttp
import click
import pytest

from processors.policy import Policy
from streams import probes, settings
from streams.cli.main import cli
from streams.settings import Runtime
from tests.k8s.test_references import of_kind, ours
from tests.k8s.tools import ROOT
from tests.k8s.validation import Object
from topics import limits

DOCKERFILE = (ROOT / "k8s" / "Dockerfile").read_text().replace("\\\n", " ")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text()
BASE_MIB = 70  # docs/memory.md: the interpreter and the code
REMEMBERED_MIB = 110 + 20  # of triage: a full memory, shapes of log lines
STREAM_MIB = 20 + 20 + 7  # of each of its streams with `quality`: known decisions, students, messages that wait
LIKENESS_MIB = {"log": 66, "email": 47, "dialogue": 0}  # templates, near-duplicates
RECENT_MIB = 60  # of agents: recent messages
_UNITS = {"Mi": 1, "Gi": 1024}


@pytest.fixture
def containers(rendered: list[Object]) -> dict[str, Any]:
    """The container of every workload of ours."""
    return {name: pod["spec"]["containers"][0] for name, pod in ours(rendered).items()}


@pytest.fixture
def policy(rendered: list[Object], tmp_path: Path) -> Policy:
    """As workers find it."""
    (found,) = (each["data"] for each in of_kind(rendered, "ConfigMap") if "sluice.toml" in each["data"])
    (tmp_path / "sluice.toml").write_text(found["sluice.toml"])
    return settings.load(tmp_path / "sluice.toml")


def test_commands_are_those_of_the_command_line(containers: dict[str, Any]) -> None:
    for container in containers.values():
        understood(container["args"])


def test_a_command_that_is_not_there_is_noticed() -> None:
    with pytest.raises(click.UsageError):
        understood(["run", "triagee"])


def test_the_environment_is_known_and_fits(rendered: list[Object], containers: dict[str, Any]) -> None:
    (shared,) = (each["data"] for each in of_kind(rendered, "ConfigMap") if "KAFKA_BOOTSTRAP_SERVERS" in each["data"])
    for container in containers.values():
        env = {**shared, **{each["name"]: each.get("value") for each in container["env"]}}
        own = {name.removeprefix("SLUICE_").lower(): env[name] for name in env if name.startswith("SLUICE_")}
        assert own.keys() <= Runtime.model_fields.keys()
        Runtime.model_validate({name: value for name, value in own.items() if value is not None})
        assert [name for name in env if not name.startswith("SLUICE_") and f"`{name}`" not in SETTINGS_PAGE] == []


async def test_probes_ask_for_what_is_served(rendered: list[Object]) -> None:
    paths = {
        probe["httpGet"]["path"]
        for pod in ours(rendered).values()
        for container in pod["spec"]["containers"]
        for probe in (container.get(f"{kind}Probe") for kind in ("startup", "liveness", "readiness"))
        if probe
    }
    paths |= {
        endpoint["path"] for each in of_kind(rendered, "PodMonitor") for endpoint in each["spec"]["podMetricsEndpoints"]
    }
    assert {"/live", "/ready"} <= paths
    async with probes.serve("127.0.0.1", 0, dict) as port, aiohttp.ClientSession() as session:
        for path in paths:
            async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                assert answer.status == 200, path


def test_the_port_is_one_everywhere(containers: dict[str, Any]) -> None:
    assert re.findall(r"EXPOSE (\d+)", DOCKERFILE) == [str(Runtime.model_fields["http_port"].default)]
    for container in (each for each in containers.values() if "ports" in each):
        (port,) = container["ports"]
        env = {each["name"]: each.get("value") for each in container["env"]}
        assert (str(port["containerPort"]), env["SLUICE_HTTP_HOST"]) == (env["SLUICE_HTTP_PORT"], "0.0.0.0")
        for kind in ("startup", "liveness", "readiness"):
            assert container[f"{kind}Probe"]["httpGet"]["port"] == port["name"]


def test_a_pod_waits_longer_than_a_shutdown_takes(rendered: list[Object]) -> None:
    for name, pod in ours(rendered).items():
        env = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
        if "SLUICE_SHUTDOWN_SECONDS" in env:
            assert pod["spec"]["terminationGracePeriodSeconds"] > float(env["SLUICE_SHUTDOWN_SECONDS"]) + 5, name


def test_memory_is_what_docs_memory_says(containers: dict[str, Any], policy: Policy) -> None:
    for name, container in containers.items():
        env = {each["name"]: each.get("value") for each in container["env"]}
        if "SLUICE_HELD_MIB" not in env:
            continue
        prefetched, answer = limits.PREFETCH_BYTES_MAX // limits.MIB, limits.FETCH_BYTES_MAX // limits.MIB
        streams = sum(STREAM_MIB + LIKENESS_MIB[stream.kind] for stream in policy.streams.values())
        remembered = REMEMBERED_MIB + streams if container["args"] == ["run", "triage"] else RECENT_MIB
        largest = (5 + 3) * limits.INPUT_VALUE_BYTES_MAX // limits.MIB  # a dead letter's copies, the answer it came in
        needed = BASE_MIB + remembered + int(env["SLUICE_HELD_MIB"]) + prefetched + max(largest, 3 * answer)
        assert mib(container["resources"]["limits"]["memory"]) >= needed, name
        assert mib(container["resources"]["requests"]["memory"]) <= mib(container["resources"]["limits"]["memory"])


def test_a_policy_can_be_read_where_workers_look(containers: dict[str, Any], policy: Policy) -> None:
    assert policy.streams
    for container in containers.values():
        env = {each["name"]: each.get("value") for each in container["env"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert env["SLUICE_CONFIG"] == f"{mounts['policy']}/sluice.toml"


def test_the_image_runs_the_command_as_a_user_that_pods_demand(rendered: list[Object]) -> None:
    (user,) = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    assert {pod["spec"]["securityContext"]["runAsUser"] for pod in ours(rendered).values()} == {int(user)}
    (entrypoint,) = re.findall(r'^ENTRYPOINT \["(\w+)"\]', DOCKERFILE, re.MULTILINE)
    assert entrypoint in PROJECT["project"]["scripts"]
    (command,) = re.findall(r'^CMD \["(\w+)"\]', DOCKERFILE, re.MULTILINE)
    understood([command])


def test_the_image_is_made_of_locked_packages_and_of_all_of_ours() -> None:
    commands = [shlex.split(part) for part in re.split(r"^RUN |&&", DOCKERFILE, flags=re.MULTILINE) if "pip" in part]
    pips = [words for words in commands if words[0].endswith("pip") and words[1] in ("wheel", "install")]
    assert len(pips) == 4
    for words in pips:
        assert "--no-cache-dir" in words
        assert "--require-hashes" in words or "--no-index" in words, "unlocked packages might come in"
    copied = {words[0] for words in map(str.split, re.findall(r"^COPY (?!--)(.*) \S+$", DOCKERFILE, re.MULTILINE))}
    packages = {package.split(".")[0] for package in PROJECT["tool"]["setuptools"]["packages"]}
    assert packages <= copied
    let_in = set((ROOT / "k8s" / "Dockerfile.dockerignore").read_text().split())
    assert all(f"!{name}" in let_in and (ROOT / name).exists() for name in copied)


def understood(arguments: list[str]) -> None:
    """Raises UsageError where the command line would. Runs nothing."""
    command: click.Command = cli
    context = click.Context(cli)
    words = list(arguments)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        if found is None:
            raise click.UsageError(f"{arguments}: there is no such command")
        command = found
    command.make_context("sluice", words)


def mib(quantity: str) -> int:
    number, unit = ("".join(run) for _, run in itertools.groupby(quantity, str.isdigit))
    return int(number) * _UNITS[unit]
