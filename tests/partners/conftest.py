"""What the tests of partners begin with."""

import pytest

from app.partners.login import client_authentication


@pytest.fixture(autouse=True)
def refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let refused assertions be answered without the wait that hides why."""
    monkeypatch.setattr(client_authentication, "REFUSED_AFTER_SECONDS", 0.0)
