"""The settings and the transaction that commands work with; errors go to standard error."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console

from app.core.database.engine import Database
from app.core.database.transaction import Transaction
from app.core.errors import DomainError
from app.core.settings import Settings

Result = TypeVar("Result")
errors = Console(stderr=True, soft_wrap=True)


def read_settings() -> Settings:
    """The settings of the environment; those that are missing or unusable are printed, and end the program."""
    try:
        return Settings()
    except ValidationError as wrong:
        for error in wrong.errors():
            errors.print(f"{str(error['loc'][0]).upper()}: {error['msg']}", markup=False)
        raise typer.Exit(2) from None


def in_transaction(work: Callable[[Transaction], Awaitable[Result]]) -> Result:
    """The result of ``work`` in one transaction of the service's; what refuses it is printed, and ends the program."""

    async def transact() -> Result:
        settings = read_settings()
        database = Database(settings)
        try:
            async with database.transaction() as tx:
                return await work(tx)
        finally:
            await database.close()

    try:
        return asyncio.run(transact())
    except DomainError as refused:
        for error in refused.errors:
            errors.print(f"{error.pointer}: {error.detail}", markup=False)
        errors.print(refused.detail, markup=False)
        raise typer.Exit(1) from None
