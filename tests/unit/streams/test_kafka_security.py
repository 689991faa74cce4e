"""Who we are to the brokers: the policy speaks first, the environment where it says nothing, and nothing odd passes."""

import ssl
from pathlib import Path

import pytest

from local import pointing
from processors.errors import ConfigurationError
from processors.policy import Kafka, KafkaSecurity, Policy
from streams import kafka_security, settings
from streams.brokers import Brokers
from tests.certificates import Authority
from tests.unit.streams.test_settings import GOOD, problems

SCRAM = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": "ada",
    "KAFKA_SASL_PASSWORD": "s3cret",
}
TLS = {"KAFKA_SECURITY_PROTOCOL": "SSL"}
OAUTH = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_MECHANISM": "OAUTHBEARER"}


def brokers(env: dict[str, str], **policy: str) -> Brokers:
    kafka = Kafka(bootstrap_servers="broker:9093", security=KafkaSecurity.model_validate(policy))
    return kafka_security.brokers(kafka, env)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where one is: certificates with their keys, and files that are something else."""
    Authority(tmp_path / "ca.pem").issue(tmp_path / "ours.pem", "ada")
    Authority(tmp_path / "other-ca.pem").issue(tmp_path / "other.pem", "bob")
    Authority(tmp_path / "ca.pem").issue(tmp_path / "locked.pem", "ada", password="s3cret")
    (tmp_path / "prose.txt").write_text("To whom it may concern\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xfd")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_word_it_is_in_the_clear() -> None:
    assert brokers({}).client_options == {"bootstrap_servers": "broker:9093", "security_protocol": "PLAINTEXT"}


def test_the_environment_alone_is_enough(folder: Path) -> None:
    made = brokers(SCRAM | {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SSL_CAFILE": "ca.pem"})
    options = dict(made.client_options)
    context = options.pop("ssl_context")
    assert options == {
        "bootstrap_servers": "broker:9093",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "ada",
        "sasl_plain_password": "s3cret",
    }
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1


def test_no_password_is_shown() -> None:
    assert "s3cret" not in repr(brokers(SCRAM))


def test_the_policy_wins_where_it_speaks(folder: Path) -> None:
    (folder / "password").write_text("from a file\n")
    made = brokers(SCRAM | {"WHO": "grace"}, mechanism="PLAIN", username="${WHO}", password_file="password")
    assert (made.sasl_mechanism, made.username, made.password) == ("PLAIN", "grace", "from a file")
    assert brokers(SCRAM | {"OTHER": "another"}, password_env="OTHER").password == "another"
    assert brokers(SCRAM, protocol="PLAINTEXT") == Brokers("broker:9093")
    by_token = brokers(SCRAM, mechanism="OAUTHBEARER", token_file="prose.txt")
    assert (by_token.username, by_token.password) == (None, None)


def test_a_broker_of_this_machine_asks_nobody() -> None:
    policy = pointing.at_broker(settings.parse(GOOD, Path("sluice.toml")), "127.0.0.1:1")
    assert kafka_security.brokers(policy.kafka, SCRAM) == Brokers("127.0.0.1:1")


async def test_a_token_is_read_anew_for_every_connection(folder: Path) -> None:
    (folder / "token").write_text("first\n")
    provider = brokers(OAUTH | {"KAFKA_SASL_TOKEN_FILE": "token"}).token_provider
    assert provider is not None
    assert await provider.token() == "first"
    (folder / "token").write_text("second\n")
    assert await provider.token() == "second"


def test_files_of_a_policy_are_beside_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    security = '[kafka]\nbootstrap_servers = "b:1"\nsecurity = { protocol = "SSL", ca_file = "ca.pem" }\n'
    (folder / "sluice.toml").write_text(security + GOOD)
    monkeypatch.chdir("/")
    policy: Policy = settings.load(folder / "sluice.toml")
    assert policy.kafka.security.ca_file == str(folder / "ca.pem")
    assert kafka_security.brokers(policy.kafka, {}).ssl_context is not None


@pytest.mark.parametrize(
    ("env", "told"),
    [
        (
            {"KAFKA_SASL_USERNAME": "ada", "KAFKA_SASL_PASSWORD": "s3cret"},
            "KAFKA_SECURITY_PROTOCOL is not set, and without it there is no use for KAFKA_SASL_USERNAME,"
            " KAFKA_SASL_PASSWORD: set it, as to SASL_SSL",
        ),
        (
            SCRAM | {"KAFKA_SECURITY_PROTOCOL": "sasl_ssl"},
            "KAFKA_SECURITY_PROTOCOL = 'sasl_ssl': write 'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL'",
        ),
        (
            SCRAM | {"KAFKA_SASL_MECHANISM": "SCRAM"},
            "KAFKA_SASL_MECHANISM = 'SCRAM': write 'SCRAM-SHA-512', 'SCRAM-SHA-256', 'PLAIN' or",
        ),
        (SCRAM | {"KAFKA_SASL_MECHANISM": "GSSAPI"}, "KAFKA_SASL_MECHANISM: 'GSSAPI' (Kerberos) is not supported: use"),
        (
            SCRAM | {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"},
            "KAFKA_SASL_MECHANISM is of no use here: remove it, or set KAFKA_SECURITY_PROTOCOL = SASL_SSL or",
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT", "KAFKA_SASL_PASSWORD": "s3cret"},
            "KAFKA_SASL_PASSWORD is of no use here: remove it, or set KAFKA_SECURITY_PROTOCOL = SASL_SSL or",
        ),
        (
            TLS | {"KAFKA_SASL_USERNAME": "ada"},
            "KAFKA_SASL_USERNAME is of no use here: remove it, or set KAFKA_SECURIT",
        ),
        (
            SCRAM | {"KAFKA_SSL_CAFILE": "ca.pem"},
            "KAFKA_SSL_CAFILE is of no use here: remove it, or set KAFKA_SECURITY",
        ),
        (
            SCRAM | {"KAFKA_SASL_MECHANISM": ""},
            "KAFKA_SECURITY_PROTOCOL = SASL_PLAINTEXT needs a mechanism: set KAFKA_",
        ),
        (
            SCRAM | {"KAFKA_SASL_USERNAME": ""},
            "KAFKA_SASL_MECHANISM = SCRAM-SHA-512 needs a user: set KAFKA_SASL_USERN",
        ),
        (
            SCRAM | {"KAFKA_SASL_PASSWORD": ""},
            "KAFKA_SASL_MECHANISM = SCRAM-SHA-512 needs a password: set KAFKA_SASL_PASSWORD, or name its file in"
            " kafka.security.password_file",
        ),
        (
            SCRAM | {"KAFKA_SASL_TOKEN_FILE": "prose.txt"},
            "KAFKA_SASL_TOKEN_FILE is of no use here: remove it, or set KAFKA_SASL_MECHANISM = OAUTHBEARER",
        ),
        (
            OAUTH,
            "KAFKA_SASL_MECHANISM = OAUTHBEARER needs a token: set KAFKA_SASL_TOKEN_FILE to the file that holds it",
        ),
        (
            OAUTH | {"KAFKA_SASL_PASSWORD": "s3cret"},
            "KAFKA_SASL_PASSWORD is of no use here: remove it, or set KAFKA_SAS",
        ),
        (
            OAUTH | {"KAFKA_SASL_TOKEN_FILE": "none"},
            "KAFKA_SASL_TOKEN_FILE = 'none': this file cannot be read (No such file or directory); name one that can",
        ),
        (
            OAUTH | {"KAFKA_SASL_TOKEN_FILE": "empty"},
            "KAFKA_SASL_TOKEN_FILE = 'empty': this file is empty; fill it, or",
        ),
        (TLS | {"KAFKA_SSL_CAFILE": "none.pem"}, "KAFKA_SSL_CAFILE = 'none.pem': this file cannot be read (No such"),
        (TLS | {"KAFKA_SSL_CAFILE": "prose.txt"}, "KAFKA_SSL_CAFILE = 'prose.txt': this file holds no certificate ("),
        (TLS | {"KAFKA_SSL_CAFILE": "binary"}, "KAFKA_SSL_CAFILE = 'binary': this file is not text; name another, PEM"),
        (
            TLS | {"KAFKA_SSL_KEYFILE": "ours.pem"},
            "KAFKA_SSL_KEYFILE is of no use without its certificate: set KAFKA_SSL",
        ),
        (
            TLS | {"KAFKA_SSL_CERTFILE": "ours.pem", "KAFKA_SSL_KEYFILE": "other.pem"},
            "KAFKA_SSL_CERTFILE = 'ours.pem': certificate and key cannot be used (KEY_VALUES_MISMATCH); name PEM files",
        ),
        (
            TLS | {"KAFKA_SSL_CERTFILE": "locked.pem"},
            "KAFKA_SSL_CERTFILE = 'locked.pem': certificate and key cannot be",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_connects(folder: Path, env: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        brokers(env)
    assert str(caught.value).startswith(told)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (
            {"username": "ada"},
            "KAFKA_SECURITY_PROTOCOL is not set, and without it there is no use for kafka.security.us",
        ),
        (
            {"protocol": "SASL_SSL"},
            "kafka.security.protocol = SASL_SSL needs a mechanism: set KAFKA_SASL_MECHANISM to SCRAM-SHA-512,",
        ),
        (
            {"protocol": "SASL_SSL", "mechanism": "PLAIN", "username": "ada", "password_env": "NOT_THERE"},
            "kafka.security.password_env = NOT_THERE: this environment variable is not set; set it to the password",
        ),
        (
            {"protocol": "SASL_SSL", "mechanism": "PLAIN", "username": "ada", "password_file": "none"},
            "kafka.security.password_file = 'none': this file cannot be read (No such file or directory); name one",
        ),
        (
            {"protocol": "SASL_SSL", "mechanism": "PLAIN", "username": "${WHO}", "password_file": "prose.txt"},
            'kafka.security.username = "${WHO}": the environment variable WHO is not set',
        ),
    ],
)
def test_what_the_policy_lacks_is_told_by_its_keys(folder: Path, policy: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        brokers({}, **policy)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("security", "told"),
    [
        (
            '{ mechanism = "GSSAPI" }',
            "line 2: kafka.security.mechanism: 'GSSAPI' (Kerberos) is not supported: use SCRAM",
        ),
        ('{ mechanism = "SCRAM" }', "line 2: kafka.security.mechanism: 'SCRAM' does not do: write"),
        ('{ protocol = "TLS" }', "line 2: kafka.security.protocol: 'TLS' does not do: write 'PLAINTEXT',"),
        ('{ password = "s3cret" }', "line 2: kafka.security.password: there is no such key. Did you mean 'password_"),
        ('{ protocol = "SSL", username = "a" }', "line 2: kafka.security.username: `username` is of no use here:"),
        (
            '{ protocol = "SASL_PLAINTEXT", ca_file = "a" }',
            "line 2: kafka.security.ca_file: `ca_file` is of no use here: remov",
        ),
        (
            '{ mechanism = "OAUTHBEARER", username = "a" }',
            "line 2: kafka.security.username: `username` is of no use here: remov",
        ),
        ('{ mechanism = "PLAIN", token_file = "a" }', "line 2: kafka.security.token_file: `token_file` is of no"),
        (
            '{ password_env = "A", password_file = "b" }',
            "line 2: kafka.security.password_file: `password_env` and `password_file` both name the password:",
        ),
    ],
)
def test_a_policy_that_does_not_fit_is_told_with_its_line(security: str, told: str) -> None:
    [problem] = problems(f"[kafka]\nsecurity = {security}\n" + GOOD)
    assert problem.startswith(told)
    assert "s3cret" not in problem
