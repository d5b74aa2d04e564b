"""FastAPI dependencies that several routers use."""

from typing import Annotated

from fastapi import Depends, Request

from app.core.database.engine import Database


def database_of(request: Request) -> Database:
    """Return the database of the application."""
    database: Database = request.app.state.database
    return database


Db = Annotated[Database, Depends(database_of)]
