"""Closed-loop load from another process: wrk or asyncio for HTTP, pgbench for PostgreSQL."""

import asyncio
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from bench.processes import postgresql_program

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
# Sends the requests of a file in turn; each is a line with its size in bytes, followed by its bytes.
WRK_SCRIPT = """local requests, at = {{}}, 0
local file = io.open("{path}", "rb")
for size in file:lines() do requests[#requests + 1] = file:read(tonumber(size)) end
request = function() at = at % #requests + 1 return requests[at] end
"""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Answers a second, and the share of one processor that the load generator used."""

    per_second: float
    busy: float


def client_name() -> str:
    """Return the name of the HTTP load generator."""
    return "wrk" if shutil.which("wrk") else "asyncio"


def encode_request(method: str, path: str, headers: Mapping[str, str] | None = None, body: object = None) -> bytes:
    """Return the bytes of an HTTP/1.1 request; ``body`` is sent as JSON."""
    content = json.dumps(body).encode() if body is not None else b""
    fields = {"Host": "127.0.0.1", **(headers or {})}
    if body is not None:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content


def load_server(port: int, requests: Sequence[bytes], connections: int, seconds: int) -> Throughput:
    """Send ``requests`` in turn on ``connections`` connections, each the next as soon as it has its answer.

    Ends the benchmark at the first error response.
    """
    with tempfile.TemporaryDirectory() as directory:
        listed = Path(directory) / "requests"
        listed.write_bytes(b"".join(b"%d\n%b" % (len(each), each) for each in requests))
        if client_name() == "wrk":
            return _by_wrk(port, listed, connections, seconds)
        return _run([sys.executable, "-m", "bench.load", str(port), str(listed), str(connections), str(seconds)])


def _by_wrk(port: int, listed: Path, connections: int, seconds: int) -> Throughput:
    script = listed.with_name("script.lua")
    script.write_text(WRK_SCRIPT.format(path=listed))
    options = ["-t1", "--timeout=30s", f"-c{connections}", f"-d{seconds}s", "-s", str(script)]
    return _run(["wrk", *options, f"http://127.0.0.1:{port}/"], after="Requests/sec:")


def load_database(url: str, script: str, connections: int, *, seconds: int) -> Throughput:
    """Run a pgbench script repeatedly on ``connections`` connections."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "script.sql"
        file.write_text(script)
        options = ["--no-vacuum", "--protocol=prepared", f"--client={connections}", f"--time={seconds}"]
        return _run([str(postgresql_program("pgbench")), *options, f"--file={file}", url], after="\ntps = ")


def _run(command: Sequence[str], after: str = "") -> Throughput:
    """Run a load generator; returns the rate that it prints ``after`` this text, and its own CPU share."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    taken = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = ran.stdout
    if ran.returncode or "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(output + ran.stderr)
    per_second = float(output.rpartition(after)[2].split()[0] if after else output)
    busy = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return Throughput(per_second, busy / taken)


class _Connection(asyncio.Protocol):
    """One connection of the load, which counts its answers."""

    def __init__(self, requests: "cycle[bytes]") -> None:
        self._requests = requests
        self._missing: int | None = None
        self._head = b""
        self.answers = 0
        self.failed = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP's are both
        self.transport = transport
        self._send_next()

    def data_received(self, data: bytes) -> None:
        if self._missing is None:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            length = CONTENT_LENGTH.search(head)
            self._missing = (int(length[1]) if length and head[9:12] != b"304" else 0) - len(body)
            if head[9:10] not in (b"2", b"3"):
                self.failed = head + end + body
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self.answers += 1
            self._send_next()

    def _send_next(self) -> None:
        self._missing, self._head = None, b""
        self.transport.write(next(self._requests))


async def _load(port: int, listed: Path, connections: int, seconds: float) -> float:
    requests = []
    with listed.open("rb") as file:
        while size := file.readline():
            requests.append(file.read(int(size)))
    in_turn = cycle(requests)
    loop = asyncio.get_running_loop()
    pending = (loop.create_connection(lambda: _Connection(in_turn), "127.0.0.1", port) for _ in range(connections))
    opened = await asyncio.gather(*pending)
    before = sum(each.answers for _, each in opened)
    await asyncio.sleep(seconds)
    answers = sum(each.answers for _, each in opened) - before
    for transport, each in opened:
        transport.close()
        if each.failed:
            raise SystemExit(each.failed.decode(errors="replace"))
    return answers / seconds


if __name__ == "__main__":
    import uvloop

    print(uvloop.run(_load(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))))
