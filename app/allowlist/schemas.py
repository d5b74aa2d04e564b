"""Bodies of the feed."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.allowlist.snapshot import Held, Snapshot
from app.core.pagination import PageQuery
from app.core.schemas import LINE, Body, Page, Resource, Timestamp

MOST_CHECKS = 10_000
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class FormatName(StrEnum):
    """The representations of the list."""

    JSON = "json"
    TEXT = "text"
    CSV = "csv"


class SnapshotQuery(BaseModel):
    """Which representation of the list."""

    model_config = ConfigDict(extra="forbid", use_enum_values=True)

    format: Annotated[FormatName | None, Field(description="Absent: by `Accept`")] = None
    family: Annotated[Literal["4", "6"] | None, Field(description="Only IPv4 or only IPv6")] = None


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
                    "networks": ["203.99.160.5/32"],
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
        """The body of a published snapshot; ``count`` is of the networks shown."""
        assert snapshot.published_at is not None
        return cls(
            session=snapshot.session,
            serial=snapshot.serial,
            published_at=snapshot.published_at,
            count=len(networks),
            digest=snapshot.digest,
            networks=networks,
        )


class CheckQuery(BaseModel):
    """The address to ask about."""

    model_config = ConfigDict(extra="forbid")

    address: Annotated[str, LINE, Field(max_length=60, examples=["203.99.160.5"])]


class Check(Resource):
    """Whether an address is in force, by which network, and since when."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "address": "203.99.160.5",
                    "allowed": True,
                    "network": "203.99.160.5/32",
                    "serial": 3,
                    "since_serial": 2,
                    "since": "2026-11-21T09:30:00.000000Z",
                }
            ]
        }
    )

    address: str
    allowed: bool
    network: str | None
    serial: int
    since_serial: int | None
    since: Timestamp | None

    @classmethod
    def of(cls, address: Any, held: Held | None, serial: int, times: dict[int, datetime]) -> "Check":
        """What is said of ``address`` at ``serial``."""
        since = held.since_serial if held else None
        return cls(
            address=str(address),
            allowed=held is not None,
            network=held.network.text if held else None,
            serial=serial,
            since_serial=since,
            since=times.get(since) if since else None,
        )


class Checks(Body):
    """Up to 10,000 addresses to ask about at one serial."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"addresses": ["203.99.160.5", "2400:1460:1::1"]}]})

    addresses: Annotated[list[Annotated[str, LINE, Field(max_length=60)]], Field(min_length=1, max_length=MOST_CHECKS)]


class CheckedAddresses(Resource):
    """One answer an address, in the order asked."""

    serial: int
    items: Sequence[Check]


class Publication(Resource):
    """What changed at a serial; `previous_digest` chains it to the one before."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "serial": 3,
                    "published_at": "2026-11-21T09:30:00.000000Z",
                    "count": 20437,
                    "added": 1,
                    "removed": 0,
                    "digest": DIGEST,
                    "previous_digest": DIGEST,
                }
            ]
        },
    )

    serial: int
    published_at: Timestamp
    count: int
    added: int
    removed: int
    digest: str
    previous_digest: str | None


PublicationPage = Page[Publication]
PublicationsQuery = PageQuery
