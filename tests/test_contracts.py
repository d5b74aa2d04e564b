"""The structure of the code: import contracts, and one place where transactions begin and end."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[1]
APP = {path.relative_to(ROOT / "app").as_posix(): path.read_text() for path in sorted((ROOT / "app").rglob("*.py"))}
ENGINE = "core/database/engine.py"
# Connections with another purpose than a transaction of the service.
OTHER_CONNECTIONS = {
    "core/database/connecting.py",  # makes every connection
    "core/database/notifications.py",  # LISTEN
    "core/database/roles.py",  # the owner creates the service's login
}
# What begins or ends a transaction, or gives a connection on which one can begin: SQLAlchemy's ways, then asyncpg's.
CALLS = re.compile(
    r"create_(async_)?engine$|(^|\.)(Async)?(Session|Connection)$|(async_)?sessionmaker$"
    r"|(engine|connection|tx|session|driver)\.(connect|begin|begin_twophase|commit|rollback|transaction|start)$"
    r"|asyncpg\.(connect|create_pool)$|onnector(\(.*\))?\.connect$"
)
STATEMENTS = re.compile(r"(BEGIN|START TRANSACTION|COMMIT|ROLLBACK|PREPARE TRANSACTION)\b")


def ways(source: str) -> Iterator[str]:
    """The calls and texts of a module that begin or end a transaction, or connect."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and CALLS.search(called := ast.unparse(node.func)):
            yield called
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and STATEMENTS.match(node.value):
            yield node.value


def test_every_import_keeps_to_the_contracts() -> None:
    assert lint_imports(str(ROOT / "pyproject.toml"), no_cache=True) == EXIT_STATUS_SUCCESS


@pytest.mark.parametrize(
    "source",
    [
        "async with engine.connect() as c: pass",
        "async with self._database.engine.begin() as c: pass",
        "await tx.commit()",
        "connection.transaction()",
        "asyncpg.connect(url)",
        "asyncpg.create_pool(url)",
        "Connector(url, seconds=1).connect()",
        "self._connector.connect()",
        "create_async_engine(url)",
        "async_sessionmaker(engine)",
        "AsyncSession(engine)",
        'driver.execute("BEGIN")',
        'tx.execute(text("COMMIT"))',
    ],
)
def test_every_way_to_begin_or_end_a_transaction_is_known(source: str) -> None:
    function = f"async def f():\n    {source}"
    assert list(ways(function))


def test_transactions_begin_and_end_in_one_place() -> None:
    found = {name for name, source in APP.items() if list(ways(source))}
    assert found - OTHER_CONNECTIONS == {ENGINE, "core/database/tenancy.py"}


# Erasure reaches the log and the list, which no partner writes; it looks for the applicant as its caller first. An
# association gets one state an operator, made of enforcers that it does not see. A certificate's place in the status
# list is drawn from those of all partners.
BEYOND_ITS_CALLER = {"erase_applicant", "get_certificate", "list_enforcers"}


def test_an_operation_that_knows_its_caller_acts_as_that_caller() -> None:
    as_caller, as_service = 0, set()
    for name, source in APP.items():
        for function in ast.walk(ast.parse(source)) if name.endswith("router.py") else ():
            if not isinstance(function, ast.AsyncFunctionDef) or "principal" not in {a.arg for a in function.args.args}:
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("database.transaction"):
                    if [ast.unparse(each) for each in node.args] == ["principal"]:
                        as_caller += 1
                    else:
                        as_service.add(function.name)
    assert as_service == BEYOND_ITS_CALLER
    assert as_caller >= 40
