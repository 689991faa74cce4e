"""Where the registry is and who we are to it: the policy goes before the environment, and what is wrong is told."""

from pathlib import Path
from typing import Any

import pytest

from processors.errors import ConfigurationError
from processors.policy import Kafka, SchemaRegistry
from streams import registry_access
from tests.certificates import Authority


def access(env: dict[str, str] | None = None, **said: Any) -> Any:
    return registry_access.access(Kafka(schema_registry=SchemaRegistry(**said)), env or {})


def test_without_an_address_there_is_none() -> None:
    assert access() is None
    assert access({"SCHEMA_REGISTRY_URL": ""}) is None


def test_the_environment_says_what_the_policy_does_not() -> None:
    env = {"SCHEMA_REGISTRY_URL": "http://there:8081/", "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO": "me:a:b"}
    told = access(env)
    assert (told.url, told.username, told.password) == ("http://there:8081", "me", "a:b")
    told = access(env | {"PW": "p"}, url="https://${HOST:-here}/apis/ccompat/v7", username="you", password_env="PW")
    assert (told.url, told.username, told.password) == ("https://here/apis/ccompat/v7", "you", "p")


def test_a_password_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p w\n")
    told = access(url="http://r", username="you", password_file=str(tmp_path / "password"))
    assert told.password == "p w"


def test_the_registrys_certificate_may_be_of_an_authority_of_ones_own(tmp_path: Path) -> None:
    told = access(url="https://r", ca_file=str(Authority(tmp_path / "ca.pem").path))
    assert told.ssl_context is not None


@pytest.mark.parametrize(
    ("env", "said", "told"),
    [
        ({}, {"url": "registry:8081"}, "schema_registry.url = 'registry:8081': this is no http:// or https:// address"),
        ({"SCHEMA_REGISTRY_URL": "http://a,http://b"}, {}, "SCHEMA_REGISTRY_URL = 'http://a,http://b': this is no"),
        ({}, {"url": "http://me:pw@r"}, "a secret is named, never written"),
        ({}, {"url": "http://${HOST}"}, "the environment variable HOST is not set"),
        (
            {},
            {"username": "me", "password_env": "PW"},
            "is of no use without an address: set",
        ),
        (
            {},
            {"url": "http://r", "username": "me", "password_env": "PW"},
            "password_env = PW: this environment",
        ),
        ({}, {"url": "http://r", "username": "me", "password_file": "/no"}, "'/no': this file cannot be read"),
        ({}, {"url": "http://r", "ca_file": "/no"}, "ca_file = '/no': this file cannot be read"),
        (
            {"SCHEMA_REGISTRY_URL": "http://r", "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO": "s3cret"},
            {},
            "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO: it is not of the form user:password",
        ),
    ],
)
def test_what_is_wrong_is_told(env: dict[str, str], said: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        access(env, **said)
    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)
