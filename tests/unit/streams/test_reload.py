"""A policy file that changes under a running worker."""

from pathlib import Path

import pytest

from local import pointing
from processors.policy import Policy
from streams import settings
from streams.reload import Watched, unadoptable

POLICY = """\
[streams.logs]
kind = "log"
topics = ["logs"]
[streams.logs.labels.routine]
means = "Normal operation"
[streams.logs.labels.alert]
means = "A failure"
[streams.mail]
kind = "email"
topics = ["mail"]
[streams.mail.labels.urgent]
means = "Today"
[streams.mail.labels.other]
means = "Anything else"
"""


class World:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.write(POLICY)
        self.adopted: list[Policy] = []
        self.watched = Watched(path, settings.load(path), [self.adopted.append])

    def write(self, text: str) -> None:
        self.path.write_text(text)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "sluice.toml")


def test_a_file_that_stays_the_same_is_not_read_again(world: World) -> None:
    world.watched.look()
    world.write(POLICY)  # touched
    world.watched.look()
    assert world.adopted == []


def test_another_meaning_is_taken_over_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world.write(POLICY.replace("A failure", "A failure of a disk"))
    world.watched.look()
    world.watched.look()
    (new,) = world.adopted
    assert new.streams["logs"].labels["alert"].means == "A failure of a disk"
    assert f"logs is version {new.streams['logs'].version}" in caplog.text
    assert "mail is version" not in caplog.text


def test_an_invalid_file_is_told_once_and_the_next_good_one_taken(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.write(POLICY.replace('"A failure"', '""'))
    world.watched.look()
    world.watched.look()
    (told,) = caplog.messages
    assert "the policy before it goes on" in told
    assert "line 7: streams.logs.labels.alert.means: '' says nothing" in told
    assert world.adopted == []
    world.write(POLICY + "[streams.mail.budget]\nusd_per_hour = 1\n")
    world.watched.look()
    assert len(world.adopted) == 1


def test_a_file_that_is_gone_changes_nothing(world: World) -> None:
    world.path.unlink()
    world.watched.look()
    world.write(POLICY.replace("Today", "Now"))
    world.watched.look()
    assert len(world.adopted) == 1


def test_a_policy_that_runs_elsewhere_than_its_file_says_is_taken_over_there(tmp_path: Path) -> None:
    def pointed(policy: Policy) -> Policy:
        return pointing.at_models(pointing.at_broker(policy, "localhost:9092"))

    path, adopted = tmp_path / "sluice.toml", list[Policy]()
    path.write_text(POLICY)
    watched = Watched(path, pointed(settings.load(path)), [adopted.append], pointed)
    path.write_text(POLICY + "[streams.mail.budget]\nusd_per_hour = 1\n")
    watched.look()
    (new,) = adopted
    assert new.kafka.bootstrap_servers == "localhost:9092"
    assert new.tiers.nano.provider == "simulated"


@pytest.mark.parametrize(
    ("this", "that", "keys"),
    [
        ('topics = ["logs"]', 'topics = ["logs", "more"]', ["streams.logs.topics"]),
        ('kind = "log"', 'kind = "email"', ["streams.logs.kind"]),
        ("[streams.mail", "[streams.post", ["streams.mail", "streams.post"]),
        ("[streams.logs]", '[kafka]\nprefix = "x."\n[streams.logs]', ["kafka"]),
        ("[streams.logs]", '[tiers.nano]\nmodel = "other"\n[streams.logs]', ["tiers"]),
    ],
)
def test_what_takes_a_restart_is_named_and_nothing_of_it_taken(
    world: World, this: str, that: str, keys: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    changed = POLICY.replace(this, that).replace("A failure", "Another")
    assert sorted(unadoptable(settings.load(world.path), settings.parse(changed, world.path))) == keys
    world.write(changed)
    world.watched.look()
    assert world.adopted == []
    assert all(key in caplog.text for key in keys)
    assert "restart the workers" in caplog.text
