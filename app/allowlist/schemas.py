"""Bodies of the feed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from app.allowlist.delta import Removal
from app.allowlist.formats import DIGEST, FormatName
from app.allowlist.guards import HeldKind
from app.allowlist.snapshot import Held, Snapshot
from app.core.database.pagination import PageQuery
from app.core.validation.schemas import LINE, Body, Instant, Page, Query, Resource, Timestamp, refusal

MOST_CHECKS = 10_000
LARGEST_SERIAL = 2**31 - 1


class SnapshotQuery(Query):
    """Which representation of the list."""

    format: Annotated[FormatName | None, Field(description="Absent: by `Accept`")] = None
    family: Annotated[Literal["4", "6"] | None, Field(description="Only IPv4 or only IPv6")] = None


class CheckQuery(Query):
    """The address to ask about, now or then."""

    address: Annotated[str, LINE, Field(max_length=60, examples=["203.99.50.5"])]
    at: Annotated[Instant | None, Field(description="As the list stood at this time")] = None
    serial: Annotated[int | None, Field(ge=1, le=LARGEST_SERIAL, description="As the list stood at this serial")] = None

    @model_validator(mode="after")
    def _one_moment(self) -> Self:
        if self.at is not None and self.serial is not None:
            raise refusal("invalid_value", "Give at or serial, not both.")
        return self


class Check(Resource):
    """Whether an address is in force, by which network, and since when."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "address": "203.99.50.5",
                    "allowed": True,
                    "network": "203.99.50.5/32",
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
            network=held.network if held else None,
            serial=serial,
            since_serial=since,
            since=times.get(since) if since else None,
        )


class Checks(Body):
    """Up to 10,000 addresses to ask about at one serial."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"addresses": ["203.99.50.5", "2400:1460:1::1"]}]})

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


class DeltaQuery(Query):
    """From where to catch up."""

    session: UUID
    since: Annotated[int, Field(ge=0, le=LARGEST_SERIAL, description="The serial that the caller holds")]
    digest: Annotated[
        str | None, Field(pattern=r"^[0-9a-f]{64}$", description="The digest of the list that the caller holds")
    ] = None


class DeltaBody(Resource):
    """What changed from one serial to another; `digest` is of the list at `to`."""

    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {
                    "session": "019b2f6e-0000-7000-8000-000000000001",
                    "from": 2,
                    "to": 3,
                    "added": ["203.99.50.5/32"],
                    "removed": [{"network": "203.99.50.9/32", "reason": "revoked"}],
                    "digest": DIGEST,
                }
            ]
        },
    )

    session: UUID
    start: Annotated[int, Field(alias="from")]
    to: int
    added: Sequence[str]
    removed: Sequence[Removal]
    digest: str

    @classmethod
    def none(cls, at: Snapshot) -> Self:
        """The delta of a caller that holds the list."""
        return cls(session=at.session, start=at.serial, to=at.serial, added=[], removed=[], digest=at.digest)


class HeldChange(Resource):
    """A mass change that waits until another officer releases it."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "019b2f6e-7200-7b1a-8c44-1f2e3d4c5b6a",
                    "kind": "removal",
                    "count": 412,
                    "in_force": 20437,
                    "in_window": 520,
                    "bound": 204,
                    "held_at": "2026-11-21T11:00:00.000000Z",
                    "released_at": None,
                    "released_by": None,
                }
            ]
        },
    )

    id: UUID
    kind: HeldKind
    count: int
    in_force: Annotated[int, Field(description="Networks in force when it was held")]
    in_window: Annotated[int | None, Field(description="Changes of this kind in the window, with these")]
    bound: Annotated[int | None, Field(description="So many could have been published without another officer")]
    held_at: Timestamp
    released_at: Timestamp | None
    released_by: UUID | None


HeldPage = Page[HeldChange]


class HeldQuery(PageQuery):
    """Filters of the list."""

    released: Annotated[bool | None, Field(description="Only those that were, or were not yet, released")] = None
