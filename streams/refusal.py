"""Why brokers do not let us in. aiokafka's clients only log that, so a connection of our own asks."""

import ssl

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from streams.brokers import Brokers


async def reason(brokers: Brokers, seconds_max: float) -> str | None:
    """What stands in the way at the first address that gives a reason, with the remedy; None where none does."""
    options = dict(brokers.client_options)
    for host, port, _ in collect_hosts(options.pop("bootstrap_servers"), randomize=False):
        try:
            connection = await create_conn(host, port, request_timeout_ms=int(seconds_max * 1000), **options)
            try:
                metadata = await connection.send(MetadataRequest([]))
                if brokers.token_provider and not metadata.brokers:  # a refusal that aiokafka takes no notice of
                    raise SaslAuthenticationFailed
            finally:
                connection.close()
        except (KafkaError, OSError, ValueError, TimeoutError) as error:
            if told := _told(brokers, error):
                return f"the broker at {host}:{port} {told}"
    return None


def _told(brokers: Brokers, error: Exception) -> str | None:
    """The error in words; None where it may be that of any broker that is away."""
    mechanism, tls = brokers.sasl_mechanism, brokers.ssl_context is not None
    match error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error:
        case ssl.SSLCertVerificationError(verify_message=why) if "mismatch" in why:
            return f"has a certificate for another name ({why}): reach it by a name that its certificate has"
        case ssl.SSLCertVerificationError(verify_message=why):
            return (
                f"has a certificate that is not trusted ({why}): name the CA that signed it in KAFKA_SSL_CAFILE or"
                " kafka.security.ca_file"
            )
        case ssl.SSLError(reason=why) if why and "ALERT" in why:
            return (
                f"ends the TLS handshake ({why}): it may want a certificate of ours, in KAFKA_SSL_CERTFILE and"
                " KAFKA_SSL_KEYFILE or kafka.security.cert_file and key_file"
            )
        case ssl.SSLError() | ConnectionResetError() if tls:
            return f"does not speak TLS on this port: {_another_protocol(brokers)}"
        case SaslAuthenticationFailed() if mechanism == "OAUTHBEARER":
            return (
                "refuses the token: look whether the one in KAFKA_SASL_TOKEN_FILE or kafka.security.token_file is still"
                " valid, and meant for these brokers"
            )
        case SaslAuthenticationFailed():
            return (
                f"refuses user '{brokers.username}' with {mechanism}: check name and password (KAFKA_SASL_USERNAME and"
                " KAFKA_SASL_PASSWORD, or kafka.security), and that the user exists for this mechanism"
            )
        case UnsupportedSaslMechanismError():
            return (
                f"does not offer {mechanism}: set KAFKA_SASL_MECHANISM or kafka.security.mechanism to one of those in"
                " its sasl.enabled.mechanisms"
            )
        case IllegalSaslStateError():
            return f"wants no login on this port: {_another_protocol(brokers)}"
        case ValueError():  # of SCRAM's last step, in which the broker shows that it, too, knows the password
            return "does not prove that it knows the password: somebody else may answer at this address"
        case KafkaConnectionError():
            return f"closes the connection, as it does where it wants TLS or a login: {_another_protocol(brokers)}"
    return None


def _another_protocol(brokers: Brokers) -> str:
    return (
        f"set KAFKA_SECURITY_PROTOCOL or kafka.security.protocol (it is {brokers.security_protocol}) to what its"
        " listener has, or name another port"
    )
