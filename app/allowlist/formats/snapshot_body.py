"""The list as JSON, with its session, serial and digest."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import ConfigDict

from app.allowlist.formats.listing import Listing
from app.allowlist.snapshot import Snapshot
from app.core.validation.schemas import Resource, Timestamp

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class SnapshotBody(Resource):
    """The networks in force at a serial; `digest` is SHA-256 of the whole list's canonical text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "session": "019b2f6e-0000-7000-8000-000000000001",
                    "serial": 3,
                    "published_at": "2026-11-21T09:30:00.000000Z",
                    "count": 1,
                    "digest": DIGEST,
                    "networks": ["203.99.50.5/32"],
                }
            ]
        }
    )

    session: UUID
    serial: int
    published_at: Timestamp
    count: int
    digest: str
    networks: Sequence[str]

    @classmethod
    def of(cls, snapshot: Snapshot, networks: Sequence[str]) -> "SnapshotBody":
        """Build the body of a published snapshot that shows ``networks``; ``count`` is their number."""
        assert snapshot.published_at is not None
        return cls(
            session=snapshot.session,
            serial=snapshot.serial,
            published_at=snapshot.published_at,
            count=len(networks),
            digest=snapshot.digest,
            networks=networks,
        )


def write_json(listing: Listing) -> str:
    """JSON with session, serial and digest."""
    return SnapshotBody.of(listing.snapshot, listing.networks).model_dump_json()
