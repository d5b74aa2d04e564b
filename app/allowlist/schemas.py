"""Request and response bodies of the allowlist."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from app.allowlist.delta import Removal
from app.allowlist.formats import DIGEST, FORMATS, FormatName, Selection, formats_with
from app.allowlist.formats.listing import MAX_MAX, MAX_PART, MIN_MAX
from app.allowlist.guards import HeldKind
from app.allowlist.snapshot import ListedNetwork, Snapshot
from app.core.database.pagination import PageQuery
from app.core.errors import FieldError, Invalid
from app.core.validation.schemas import LINE, Body, Instant, Page, Query, Resource, Timestamp, validation_error

MAX_CHECKS = 10_000
MAX_SERIAL = 2**31 - 1
WHOLE = {None: Selection(), "4": Selection(4), "6": Selection(6)}


class SnapshotQuery(Query):
    """Format of the list, and the networks of it that are selected."""

    format: Annotated[FormatName | None, Field(description="Default: by `Accept`")] = None
    family: Annotated[Literal["4", "6"] | None, Field(description="Only IPv4 or only IPv6")] = None
    aggregate: Annotated[
        bool, Field(description="Merge neighbours into one network, where together they are exactly that network")
    ] = False
    max: Annotated[
        int | None, Field(ge=MIN_MAX, le=MAX_MAX, description="Split the list into parts of at most so many networks")
    ] = None
    part: Annotated[
        int | None,
        Field(ge=1, le=MAX_PART, description="With `max`: which part, 1 by default. Parts after the last are empty"),
    ] = None

    def selection(self, name: str) -> Selection:
        """The selection in the format ``name``. Raises ``Invalid`` for parameters that it does not take."""
        whole = WHOLE[self.family]
        if not self.aggregate and self.max is None and self.part is None:
            return whole
        given = {"aggregate": self.aggregate, "max": self.max is not None, "part": self.part is not None}
        errors = [
            FieldError(f"/query/{each}", "invalid_value", f"{name} has no {each}. It is for {formats_with(each)}.")
            for each, is_given in given.items()
            if is_given and each not in FORMATS[name].parameters
        ]
        if not errors and self.max is None and self.part is not None:
            detail = "Give max as well: the number of networks that a part has at most."
            errors = [FieldError("/query/part", "invalid_value", detail)]
        if errors:
            raise Invalid.of(errors)
        return Selection(whole.family, self.aggregate, self.max, self.part or 1)


class CheckQuery(Query):
    """The address to check, and the time or serial to check it at."""

    address: Annotated[str, LINE, Field(max_length=60, examples=["203.99.50.5"])]
    at: Annotated[Instant | None, Field(description="As the list stood at this time")] = None
    serial: Annotated[int | None, Field(ge=1, le=MAX_SERIAL, description="As the list stood at this serial")] = None

    @model_validator(mode="after")
    def _one_moment(self) -> Self:
        if self.at is not None and self.serial is not None:
            raise validation_error("invalid_value", "Give at or serial, not both.")
        return self


class Check(Resource):
    """Result of a check: whether the address is allowed, by which network, and since when."""

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
    def of(cls, address: Any, listed: ListedNetwork | None, serial: int, times: dict[int, datetime]) -> "Check":
        """Build the result of a check at ``serial``; ``times`` are those of the publications by serial."""
        since = listed.since_serial if listed else None
        return cls(
            address=str(address),
            allowed=listed is not None,
            network=listed.network if listed else None,
            serial=serial,
            since_serial=since,
            since=times.get(since) if since else None,
        )


class Checks(Body):
    """Up to 10,000 addresses to check at one serial."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"addresses": ["203.99.50.5", "2400:1460:1::1"]}]})

    addresses: Annotated[list[Annotated[str, LINE, Field(max_length=60)]], Field(min_length=1, max_length=MAX_CHECKS)]


class CheckedAddresses(Resource):
    """One result per address, in the order of the request."""

    serial: int
    items: Sequence[Check]


class Publication(Resource):
    """A publication, chained to the one before by `previous_digest`."""

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
    """The list that the client has."""

    session: UUID
    since: Annotated[int, Field(ge=0, le=MAX_SERIAL, description="The serial of the client's list")]
    digest: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$", description="The digest of the client's list")] = (
        None
    )


class DeltaBody(Resource):
    """The changes between two serials; `digest` is that of the list at `to`."""

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
    def empty(cls, of: Snapshot) -> Self:
        """Build the delta for a client that has the newest list."""
        return cls(session=of.session, start=of.serial, to=of.serial, added=[], removed=[], digest=of.digest)


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
                    "partner_id": None,
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
    in_force: Annotated[int, Field(description="Networks in force when it was held, or with `partner_id` those of it")]
    in_window: Annotated[int | None, Field(description="Changes of this kind in the window, including these")]
    bound: Annotated[int | None, Field(description="The most changes that are published without another officer")]
    partner_id: Annotated[UUID | None, Field(description="Of what a partner surrenders: the partner")]
    held_at: Timestamp
    released_at: Timestamp | None
    released_by: UUID | None


HeldPage = Page[HeldChange]


class HeldQuery(PageQuery):
    """Filter for held changes."""

    released: Annotated[bool | None, Field(description="Only released changes, or only those not released")] = None
