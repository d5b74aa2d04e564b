"""Responses of the health endpoints."""

from typing import Annotated, Literal

from pydantic import Field

from app.core.validation.schemas import Resource, Timestamp


class Live(Resource):
    """The process is alive."""

    status: Literal["live"] = "live"


class Diverged(Resource):
    """A serial at which this process served another list than the database has."""

    serial: int
    found_at: Timestamp


class Ready(Resource):
    """The process can read and write.

    `worker` says whether a worker was seen in the last 30 seconds. `diverged` reports that this process once served a
    list that the database did not have.
    """

    status: Literal["ready"] = "ready"
    database: Literal[True] = True
    migrations: Literal[True] = True
    worker: Annotated[bool, Field(description="Without one, nothing is published and no upload is processed")] = True
    diverged: Annotated[Diverged | None, Field(examples=[{"serial": 7, "found_at": "2026-11-28T12:00:00.000000Z"}])] = (
        None
    )


class FeedReady(Resource):
    """The process can serve the list."""

    status: Literal["ready"] = "ready"
    serial: Annotated[int, Field(description="Of the list that is served", examples=[7])]
    age: Annotated[int, Field(description="Seconds since the database confirmed that it is the newest", examples=[1])]
    stale: Annotated[bool, Field(description="The database has been unreachable for more than a few polls")] = False
    diverged: Annotated[
        bool, Field(description="The list is not the database's, whose own list has a wrong digest: see the log")
    ] = False
    behind: Annotated[
        bool,
        Field(description="The database lost a list that was served: it needs `app.cli feed new-session`"),
    ] = False
