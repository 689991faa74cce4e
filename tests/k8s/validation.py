"""Says what an API server would refuse or silently drop of an object. Asks none.

Built-in kinds by Kubernetes' own schemas, custom ones by their definitions. Rules in CEL are not evaluated.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import kubernetes_validate
from jsonschema import Draft4Validator
from jsonschema.exceptions import ValidationError

from tests.k8s.crds import Crd

Object = dict[str, Any]
KUBERNETES = ("1.29", "1.37")  # the oldest that docs/kubernetes.md names, and the newest whose schemas there are


class Validation:
    def __init__(self, crds: Iterable[Crd]) -> None:
        self._custom = dict(_schemas(crds))

    def problems(self, object_: Object) -> list[str]:
        """Empty where all is well."""
        schema = self._custom.get((object_["apiVersion"], object_["kind"]))
        if schema is None:
            return [problem for version in KUBERNETES for problem in _built_in(object_, version)]
        metadata = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": object_["metadata"]}
        return [_told(error) for error in schema.iter_errors(object_)] + _built_in(metadata, KUBERNETES[-1])

    def custom_kinds(self) -> set[str]:
        return {kind for _, kind in self._custom}


def _built_in(object_: Object, version: str) -> list[str]:
    try:
        kubernetes_validate.validate(object_, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"Kubernetes {version}: {_told(error)}"]
    except kubernetes_validate.SchemaNotFoundError as error:
        return [error.message]
    return []


def _told(error: ValidationError) -> str:
    return f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"


def _schemas(crds: Iterable[Crd]) -> Iterator[tuple[tuple[str, str], Draft4Validator]]:
    for crd in crds:
        for version in crd["spec"]["versions"]:
            schema = _closed(version["schema"]["openAPIV3Schema"])
            api_version = f"{crd['spec']['group']}/{version['name']}"
            yield (api_version, crd["spec"]["names"]["kind"]), Draft4Validator(schema)


def _closed(schema: Any) -> Any:
    """A structural schema that refuses what an API server would prune: keys that it does not know."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    is_object = isinstance(schema.get("properties"), Mapping) and schema.get("type") == "object"
    if is_object and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed
