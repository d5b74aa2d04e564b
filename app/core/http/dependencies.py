"""FastAPI dependencies that more than one router takes."""

from typing import Annotated

from fastapi import Depends, Request

from app.core.database.engine import Database


def database_of(request: Request) -> Database:
    """The application's database."""
    database: Database = request.app.state.database
    return database


Db = Annotated[Database, Depends(database_of)]
