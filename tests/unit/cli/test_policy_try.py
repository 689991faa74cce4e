"""`sluice policy try` where it makes no sense: told before any broker is asked."""

import pytest
from click.testing import CliRunner

from processors.errors import ConfigurationError
from processors.policy import Policy
from streams import settings
from streams.cli.main import cli

LABELS = {"alert": {"means": "An operator must look"}, "routine": {"means": "Nobody needs to look"}}


def policy(reference: str) -> Policy:
    logs = {"kind": "log", "topics": ["logs"], "labels": LABELS, "quality": {"reference": reference}}
    mail = {"kind": "email", "topics": ["mail"], "labels": LABELS}
    return Policy.model_validate({"streams": {"logs": logs, "mail": mail}})


@pytest.mark.parametrize(
    ("words", "reference", "told"),
    [
        (("gpt-6-luna", "-s", "mail"), "flagship", "stream 'mail' promises no quality"),
        (("gpt-6-luna", "-s", "none"), "flagship", "--stream 'none': there are logs, mail."),
        (("gpt-6-luna", "-s", "logs"), "nano-single", "sluice policy shadow NEW.toml -s logs"),
        (("gpt-6-luna", "-s", "logs"), "nano", "nano is its measure"),
        (("gpt-5.4-nano", "-s", "logs"), "flagship", "'gpt-5.4-nano' is tiers.nano.model already"),
        (("house", "-s", "logs"), "flagship", 'Add tiers.nano.candidates = { "house" = '),
    ],
)
def test_a_model_that_cannot_be_tried_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], reference: str, told: str
) -> None:
    monkeypatch.setattr(settings, "load", lambda _: policy(reference))
    result = CliRunner().invoke(cli, ["policy", "try", *words])
    assert isinstance(result.exception, ConfigurationError), result.output
    assert told in str(result.exception)


@pytest.mark.parametrize("words", [(), ("gpt-6-luna", "--stop")])
def test_a_model_or_the_end_of_a_trial_is_named(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, ["policy", "try", *words, "-s", "logs"])
    assert (result.exit_code, "one of the two" in result.output) == (2, True)
