"""Fixtures of the tests of partners."""

import pytest

from app.partners.login import client_authentication


@pytest.fixture(autouse=True)
def refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer refused assertions at once, without the delay that hides the reason."""
    monkeypatch.setattr(client_authentication, "REFUSED_AFTER_SECONDS", 0.0)
