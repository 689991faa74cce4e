"""Both overlays as kustomize renders them, and what validates them; made once for all tests."""

from collections.abc import Callable
from functools import cache

import pytest
import yaml

from tests.k8s import crds
from tests.k8s.tools import ROOT, kustomize
from tests.k8s.validation import Object, Validation

OVERLAYS = ("local", "production")


@pytest.fixture(scope="session")
def render() -> Callable[[str], list[Object]]:
    """The objects of an overlay."""

    @cache
    def objects(overlay: str) -> list[Object]:
        return list(yaml.safe_load_all(kustomize(ROOT / "k8s" / "overlays" / overlay)))

    return objects


@pytest.fixture(scope="session", params=OVERLAYS)
def rendered(request: pytest.FixtureRequest, render: Callable[[str], list[Object]]) -> list[Object]:
    return render(request.param)


@pytest.fixture(scope="session")
def production(render: Callable[[str], list[Object]]) -> list[Object]:
    return render("production")


@pytest.fixture(scope="session")
def validation(tmp_path_factory: pytest.TempPathFactory) -> Validation:
    return Validation(crds.all_of_them(tmp_path_factory.mktemp("crds")))
