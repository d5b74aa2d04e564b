"""Fixtures of the tests of the follower."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.followed_feed import A, B, FollowedFeed, follow_list
from tests.support.service import Caller, Service


@pytest.fixture
async def followed(service: Service, nayatel: Caller, tmp_path: Path) -> AsyncIterator[FollowedFeed]:
    """A feed of A and B at serial 1, and a follower that is up to date."""
    async with follow_list(service, nayatel, tmp_path / "list.txt", A, B) as made:
        yield made
