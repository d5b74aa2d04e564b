"""The API's busiest routes, each beside a bare peer in the same run, at 1, 8 and 64 connections.

A peer is what cannot be left out: the same query on asyncpg, the same bytes from memory, the same inserts. Everything
that a request passes is on: tokens, rate limits, row-level security, a log line, metrics. ROUNDS, SECONDS and ONLY (a
part of an operation's name) are read from the environment.
"""

import asyncio
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from app.demo.embedded_postgres import embedded_postgres
from app.partners.rules import PartnerKind
from bench import filled, inserts, load, results
from bench.load import Answered, written
from bench.partners import SECRET_KEY, Caller, make_client
from bench.processes import Server, bare_api, our_api

CONNECTIONS = (1, 8, 64)
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = int(os.environ.get("SECONDS", "2"))
ONLY = os.environ.get("ONLY", "")
APPLICANTS, MOST_SUBMISSIONS = 64, 6_000 * SECONDS
FEED = "/v1/allowlist?format=text"
OF_THE_BODY = ("content-length", "content-type", "repr-digest", "date")
# Requests are logged, and counted against limits that none of these loads reaches.
CHANGES = {
    "LOG_LEVEL": "info", "RATE_LIMIT_READ": "1000000000", "RATE_LIMIT_WRITE": "1000000000", "TOKEN_SECONDS": "3600",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Side:
    """One of two that are compared: the load that it bears at so many connections, and the server that bears it."""

    name: str
    bear: Callable[[int], Answered]
    server: Server | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """An operation of ours, its peer, and the ratio that is aimed at; None: the peer is there to be compared with."""

    ours: Side
    peer: Side
    target: float | None


def main() -> None:
    """Fill a database, measure, print, and keep the result."""
    with tempfile.TemporaryDirectory() as directory, embedded_postgres(Path(directory) / "postgresql") as url:
        asyncio.run(filled.migrated_with_list(url))
        credentials = asyncio.run(make_client(url, PartnerKind.ASSOCIATION))
        with our_api(url, SECRET_KEY, CHANGES) as ours, bare_api() as constant:
            caller = Caller(ours.port, credentials)
            token = caller.authorise()
            applicants = [filled.make_applicant(caller, number) for number in range(APPLICANTS)]
            bodies = filled.submissions(applicants)
            caller.call("POST", "/v1/registrations", json=next(bodies))
            ids = asyncio.run(filled.copied_cases(url))
            held = caller.answer("GET", FEED, headers={"Accept-Encoding": "identity"})
            listed = Path(directory) / "list"
            listed.write_bytes(held.content)
            surroundings = {
                "DATABASE_URL": url, "LIST_FILE": str(listed), "PARTNER_ID": applicants[0]["partner_id"],
                "FIELDS": json.dumps({name: held.headers[name] for name in held.headers if name not in OF_THE_BODY}),
            }  # fmt: skip
            with bare_api("starlette", surroundings) as bare, bare_api("submitting", surroundings) as submitting:
                pairs = [
                    *_reads(ours, bare, token, ids),
                    *_feed(ours, bare, constant, token, held.headers["ETag"]),
                    *_submissions(ours, submitting, token, bodies, url, applicants[0]),
                ]
                chosen = [pair for pair in pairs if ONLY in pair.ours.name]
                measured = [_measured(pair, connections) for pair in chosen for connections in CONNECTIONS]
    _show(measured)
    if not ONLY:
        about = {"client": load.client_name(), "rounds": ROUNDS, "seconds": SECONDS}
        results.keep("requests", {**about, "measured": measured})


def _on(server: Server, name: str, requests: Sequence[bytes]) -> Side:
    return Side(name, lambda connections: load.on_server(server.port, requests, connections, SECONDS), server)


def _reads(ours: Server, bare: Server, token: dict[str, str], ids: Sequence[str]) -> list[Pair]:
    one = [written("GET", f"/v1/registrations/{id_}", token) for id_ in ids]
    page = [written("GET", "/v1/registrations?limit=500", token)]
    bare_one = [written("GET", f"/registrations/{id_}") for id_ in ids]
    bare_page = [written("GET", "/registrations?limit=500")]
    return [
        Pair(_on(ours, "read a registration", one), _on(bare, "Starlette, the same query", bare_one), 0.5),
        Pair(_on(ours, "list 500 registrations", page), _on(bare, "Starlette, json_agg of the rows", bare_page), 0.7),
    ]


def _feed(ours: Server, bare: Server, constant: Server, token: dict[str, str], etag: str) -> list[Pair]:
    addresses = [f"39.32.{i}.{i * 7 % 256}" for i in range(256)]
    check = [written("GET", f"/v1/allowlist/check?address={address}", token) for address in addresses]
    whole = [written("GET", FEED, token)]
    unchanged = [written("GET", FEED, {**token, "If-None-Match": etag})]
    answer, same, hello = ([written("GET", path)] for path in ("/constant", "/list", "/hello"))
    fields = [written("GET", "/unchanged", {**token, "If-None-Match": etag})]
    return [
        Pair(_on(ours, "check an address", check), _on(constant, "FastAPI, a constant", answer), 0.7),
        Pair(_on(ours, "the list as text", whole), _on(bare, "Starlette, the same bytes", same), 0.7),
        Pair(_on(ours, "the list unchanged (304)", unchanged), _on(bare, "Starlette, hello", hello), 0.5),
        Pair(_on(ours, "the list unchanged (304)", unchanged), _on(bare, "Starlette, the same fields", fields), None),
    ]


def _submissions(
    ours: Server,
    bare: Server,
    token: dict[str, str],
    bodies: Iterator[dict[str, Any]],
    url: str,
    applicant: dict[str, Any],
) -> list[Pair]:
    def submitted(server: Server, path: str, connections: int) -> Answered:
        requests = [written("POST", path, token, body) for body in islice(bodies, MOST_SUBMISSIONS)]
        return load.on_server(server.port, requests, connections, SECONDS)

    script = inserts.script(applicant["partner_id"], applicant["id"])
    side = Side("submit a registration", partial(submitted, ours, "/v1/registrations"), ours)
    alone = Side("pgbench, the same inserts", partial(load.on_database, url, script, seconds=SECONDS))
    framework = Side("FastAPI, the same inserts", partial(submitted, bare, "/registrations"), bare)
    return [Pair(side, alone, 0.33), Pair(side, framework, None)]


def _measured(pair: Pair, connections: int) -> dict[str, Any]:
    """The medians of interleaved rounds."""
    rounds = [{"peer": _run(pair.peer, connections), "ours": _run(pair.ours, connections)} for _ in range(ROUNDS)]
    ours, peer = (
        {name: statistics.median(each[side][name] for each in rounds) for name in rounds[0][side]}
        for side in ("ours", "peer")
    )
    measured = {
        "operation": pair.ours.name, "peer": pair.peer.name, "connections": connections, "target": pair.target,
        "ratio": round(ours["per_second"] / peer["per_second"], 2), "median": {"ours": ours, "peer": peer},
        "rounds": rounds,
    }  # fmt: skip
    print(f"{pair.ours.name}, {connections} connections: {measured['ratio']}", flush=True)
    return measured


def _run(side: Side, connections: int) -> dict[str, float]:
    """Answers a second, the server's processor time for each, the share of a processor that the load itself took."""
    before = side.server.processor_seconds() if side.server else 0.0
    answered = side.bear(connections)
    used = side.server.processor_seconds() - before if side.server else 0.0
    if side.server:
        side.server.settle()
    each = used / max(answered.per_second * SECONDS, 1)
    return {
        "per_second": round(answered.per_second),
        "processor_microseconds": round(each * 1_000_000),
        "load_busy": round(answered.busy, 2),
    }


def _show(measured: Sequence[dict[str, Any]]) -> None:
    table = Table("operation", "connections", "a second", "peer", "a second", "ratio", "target", "CPU, µs", "peer's")
    for each in measured:
        ours, peer = each["median"]["ours"], each["median"]["peer"]
        cpu = (f"{side['processor_microseconds']:g}" for side in (ours, peer))
        rates = f"{ours['per_second']:,.0f}", each["peer"], f"{peer['per_second']:,.0f}"
        table.add_row(
            each["operation"], str(each["connections"]), *rates, str(each["ratio"]), str(each["target"] or ""), *cpu
        )
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
