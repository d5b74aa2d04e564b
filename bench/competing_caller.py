"""A competing caller in its own process: it reads a page of registrations repeatedly and times each call."""

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
    """Call while the block runs; after it, the yielded list has the seconds of each call."""
    seconds: list[float] = []
    command = [sys.executable, "-m", "bench.competing_caller", str(port)]
    environment = {**os.environ, "CLIENT": json.dumps(credentials)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # waits for its first line
        try:
            yield seconds
        finally:
            process.terminate()
            seconds += json.loads(process.stdout.read())


def main() -> None:
    """Call until SIGTERM, then print the seconds of each call."""
    done = Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    caller = Caller(int(sys.argv[1]), Credentials(*json.loads(os.environ["CLIENT"])))
    caller.authorise()
    caller.call("GET", PAGE)
    print("begun", flush=True)
    seconds = []
    while not done.is_set():
        time.sleep(PAUSE_SECONDS)
        began = time.perf_counter()
        caller.call("GET", PAGE)
        seconds.append(time.perf_counter() - began)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
