"""Another caller, in a process of its own: it reads a page of the register again and again, and times each call."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from bench.partners import Caller, Credentials

PAGE = "/v1/registrations?limit=1"
PAUSE_SECONDS = 0.02


@contextmanager
def calling(port: int, credentials: Credentials) -> Iterator[list[float]]:
    """The seconds that each of its calls took, once the block has ended, during which it calls."""
    took: list[float] = []
    command = [sys.executable, "-m", "bench.other", str(port)]
    environment = {**os.environ, "CLIENT": json.dumps(credentials)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        try:
            yield took
        finally:
            process.terminate()
            took += json.loads(process.stdout.read())


def main() -> None:
    """Call until SIGTERM; then print what each call took."""
    done = Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    caller = Caller(int(sys.argv[1]), Credentials(*json.loads(os.environ["CLIENT"])))
    caller.authorise()
    caller.call("GET", PAGE)
    print("begun", flush=True)
    took = []
    while not done.is_set():
        time.sleep(PAUSE_SECONDS)
        began = time.perf_counter()
        caller.call("GET", PAGE)
        took.append(time.perf_counter() - began)
    print(json.dumps(took))


if __name__ == "__main__":
    main()
