"""The command line of the service without the fast path, for ``python -m tests.support.without_fast_path COMMAND``."""

import runpy
import sys

from app.core.http.fast_route import FastRoute

if __name__ == "__main__":
    assert "app.api" not in sys.modules  # handlers are built when the routers are imported
    del FastRoute.get_route_handler
    runpy.run_module("app.cli", run_name="__main__", alter_sys=True)
