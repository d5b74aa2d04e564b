"""Settings and transactions of commands; errors are printed to standard error."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console

from app.cli.failures import describe_failure
from app.core.database.engine import Database
from app.core.database.transaction import Transaction
from app.core.errors import DomainError
from app.core.settings import Settings
from app.demo.settings_file import read_settings_file

Result = TypeVar("Result")
stderr = Console(stderr=True, soft_wrap=True)


def read_settings() -> Settings:
    """Read the settings from the environment; print missing and invalid ones and exit with code 2."""
    return _read_settings({})


def find_settings() -> Settings:
    """Read the settings as ``read_settings`` does, or those of ``make run`` when the environment has none."""
    return _read_settings(read_settings_file())


def _read_settings(found: dict[str, Any]) -> Settings:
    try:
        return Settings(**found)
    except ValidationError as wrong:
        for error in wrong.errors():
            stderr.print(f"{str(error['loc'][0]).upper()}: {error['msg']}", markup=False)
        raise typer.Exit(2) from None


def run_in_transaction(work: Callable[[Transaction], Awaitable[Result]]) -> Result:
    """Run ``work`` in one transaction and return its result; print a refusal and exit with code 1."""

    async def run() -> Result:
        settings = find_settings()
        database = Database(settings)
        try:
            async with database.transaction() as tx:
                return await work(tx)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except DomainError as refused:
        for error in refused.errors:
            stderr.print(f"{error.pointer}: {error.detail}", markup=False)
        stderr.print(refused.detail, markup=False)
        raise typer.Exit(1) from None
    except Exception as fault:
        fail_by(fault)
        raise


def fail_by(fault: Exception) -> None:
    """Print in two lines what is wrong with the database and exit with code 1; do nothing for a bug."""
    found = describe_failure(fault)
    if found is not None:
        for line in found:
            stderr.print(line, markup=False, highlight=False)
        raise typer.Exit(1) from None
