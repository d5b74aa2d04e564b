"""The range of migrations that this code can run on."""

from collections.abc import Sequence

# The oldest migration on which this code runs. It is raised with the first statement that needs a newer one.
OLDEST_SCHEMA = "0031"
MIGRATE = "run 'python -m app.cli migrate'"


def schema_problem(applied: str | None, oldest_code: str | None, own: Sequence[str]) -> str:
    """Describe why this code cannot run on a database, or return an empty text.

    ``applied`` is the newest migration of the database, None when it was never migrated; ``own`` are those of this code
    in their order. A database with newer ones says itself by ``oldest_code`` from which migration on code can run.
    """
    if applied is None:
        return f"The database was never migrated: {MIGRATE}."
    if applied in own:
        if own.index(applied) >= own.index(OLDEST_SCHEMA):
            return ""
        return f"The database's migrations are older than this code needs: {MIGRATE}."
    if oldest_code in own:
        return ""
    return "The database's migrations are newer than this code can run on: replace this process by the new version."
