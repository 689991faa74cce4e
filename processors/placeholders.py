"""`${NAME}` and `${NAME:-default}` in settings, filled from the environment as a shell would."""

import re
from collections.abc import Mapping

from processors.errors import ConfigurationError

_PLACEHOLDER = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")


def resolve(text: str, env: Mapping[str, str], key: str) -> str:
    """`text` with its placeholders filled; an empty variable counts as unset. `key` is the setting's path, for errors.

    Raises ConfigurationError where a variable without a default is not set.
    """

    def value(match: re.Match[str]) -> str:
        found = env.get(match["name"]) or match["default"]
        if found is None:
            raise ConfigurationError(
                f'{key} = "{text}": the environment variable {match["name"]} is not set. '
                f"Set it, or write the value into {key}"
            )
        return found

    return _PLACEHOLDER.sub(value, text)
