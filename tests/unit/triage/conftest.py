"""For tests that count what is asked."""

import pytest

from processors import voting


@pytest.fixture
def one_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked twice for being among the least sure; of such votes test_revote.py tells."""
    monkeypatch.setattr(voting, "REVOTE_SHARE", 0.0)
    monkeypatch.setattr(voting, "REVOTE_ALONE_SHARE", 0.0)
