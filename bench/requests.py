"""Measures the busiest operations of the API at 1, 8 and 64 connections, each against a peer of the same run.

A peer does the minimum: the same query on asyncpg, the same bytes from memory, the same inserts. The API runs with
tokens, rate limits, row-level security, access log and metrics. The environment variables are ROUNDS, SECONDS
and ONLY (a part of an operation's name).
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

from app.partners.rules import PartnerKind
from bench import fixtures, inserts, load, results
from bench.load import Throughput, encode_request
from bench.partners import SECRET_KEY, Caller, make_client
from bench.processes import Server, api_server, baseline_app, postgres_server

CONNECTIONS = (1, 8, 64)
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = int(os.environ.get("SECONDS", "2"))
ONLY = os.environ.get("ONLY", "")
APPLICANTS, MAX_SUBMISSIONS = 64, 6_000 * SECONDS
FEED = "/v1/allowlist?format=text"
BODY_HEADERS = ("content-length", "content-type", "repr-digest", "date")
# The largest load, and the pools of the API and the baseline applications beside it.
POSTGRESQL = {"max_connections": str(max(CONNECTIONS) + 100)}
# Requests are logged, and counted against limits that no load reaches.
SETTINGS = {
    "LOG_LEVEL": "info", "RATE_LIMIT_READ": "1000000000", "RATE_LIMIT_WRITE": "1000000000", "TOKEN_SECONDS": "3600",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: ``measure`` puts load on it with a number of connections; ``server`` is its process."""

    name: str
    measure: Callable[[int], Throughput]
    server: Server | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """An operation of the service, its peer, and the targets of their ratio at each of ``CONNECTIONS``, if any."""

    ours: Side
    peer: Side
    targets: tuple[float | None, ...] = (None,) * len(CONNECTIONS)


def main() -> None:
    """Fill a database, measure, print, and save the result."""
    with tempfile.TemporaryDirectory() as directory, postgres_server(**POSTGRESQL) as url:
        asyncio.run(fixtures.migrate_and_publish(url))
        credentials = asyncio.run(make_client(url, PartnerKind.ASSOCIATION))
        with api_server(url, SECRET_KEY, SETTINGS) as ours, baseline_app() as constant:
            caller = Caller(ours.port, credentials)
            token = caller.authorise()
            applicants = [fixtures.make_applicant(caller, number) for number in range(APPLICANTS)]
            bodies = fixtures.submissions(applicants)
            caller.call("POST", "/v1/registrations", json=next(bodies))
            ids = asyncio.run(fixtures.copy_case(url))
            feed = caller.answer("GET", FEED, headers={"Accept-Encoding": "identity"})
            listed = Path(directory) / "list"
            listed.write_bytes(feed.content)
            environment = {
                "DATABASE_URL": url, "LIST_FILE": str(listed), "PARTNER_ID": applicants[0]["partner_id"],
                "FIELDS": json.dumps({name: feed.headers[name] for name in feed.headers if name not in BODY_HEADERS}),
            }  # fmt: skip
            with (
                baseline_app("queries_app", environment) as queries,
                baseline_app("inserts_app", environment) as inserting,
            ):
                pairs = [
                    *_reads(ours, queries, token, ids),
                    *_feed(ours, queries, constant, token, feed.headers["ETag"]),
                    *_submissions(ours, inserting, token, bodies, url, applicants[0]),
                ]
                chosen = [pair for pair in pairs if ONLY in pair.ours.name]
                measured = [_measure_pair(pair, connections) for pair in chosen for connections in CONNECTIONS]
    _show(measured)
    if not ONLY:
        about = {"client": load.client_name(), "rounds": ROUNDS, "seconds": SECONDS}
        results.save("requests", {**about, "measured": measured})


def _on(server: Server, name: str, requests: Sequence[bytes]) -> Side:
    return Side(name, lambda connections: load.load_server(server.port, requests, connections, SECONDS), server)


def _reads(ours: Server, queries: Server, token: dict[str, str], ids: Sequence[str]) -> list[Pair]:
    one = [encode_request("GET", f"/v1/registrations/{id_}", token) for id_ in ids]
    page = [encode_request("GET", "/v1/registrations?limit=500", token)]
    peer_one = [encode_request("GET", f"/registrations/{id_}") for id_ in ids]
    peer_page = [encode_request("GET", "/registrations?limit=500")]
    read, query = _on(ours, "read a registration", one), _on(queries, "Starlette, the same query", peer_one)
    list_, rows = _on(ours, "list 500 registrations", page), _on(queries, "Starlette, json_agg of the rows", peer_page)
    return [Pair(read, query, (0.5,) * 3), Pair(list_, rows, (0.7,) * 3)]


def _feed(ours: Server, queries: Server, constant: Server, token: dict[str, str], etag: str) -> list[Pair]:
    addresses = [f"39.32.{i}.{i * 7 % 256}" for i in range(256)]
    check = [encode_request("GET", f"/v1/allowlist/check?address={address}", token) for address in addresses]
    whole = [encode_request("GET", FEED, token)]
    unchanged = [encode_request("GET", FEED, {**token, "If-None-Match": etag})]
    answer, same, hello = ([encode_request("GET", path)] for path in ("/constant", "/list", "/hello"))
    fields = [encode_request("GET", "/unchanged", {**token, "If-None-Match": etag})]
    not_modified = _on(ours, "the list unchanged (304)", unchanged)
    return [
        Pair(_on(ours, "check an address", check), _on(constant, "FastAPI, a constant", answer), (0.6,) * 3),
        Pair(_on(ours, "the list as text", whole), _on(queries, "Starlette, the same bytes", same), (0.5,) * 3),
        Pair(not_modified, _on(queries, "Starlette, hello", hello), (0.35,) * 3),
        Pair(not_modified, _on(queries, "Starlette, the same fields", fields)),
    ]


def _submissions(
    ours: Server,
    inserting: Server,
    token: dict[str, str],
    bodies: Iterator[dict[str, Any]],
    url: str,
    applicant: dict[str, Any],
) -> list[Pair]:
    def submit(server: Server, path: str, connections: int) -> Throughput:
        requests = [encode_request("POST", path, token, body) for body in islice(bodies, MAX_SUBMISSIONS)]
        return load.load_server(server.port, requests, connections, SECONDS)

    script = inserts.script(applicant["partner_id"], applicant["id"])
    side = Side("submit a registration", partial(submit, ours, "/v1/registrations"), ours)
    pgbench = Side("pgbench, the same inserts", partial(load.load_database, url, script, seconds=SECONDS))
    framework = Side("FastAPI, the same inserts", partial(submit, inserting, "/registrations"), inserting)
    return [Pair(side, pgbench, (0.25, 0.3, 0.8)), Pair(side, framework)]


def _measure_pair(pair: Pair, connections: int) -> dict[str, Any]:
    """Measure both sides in turn, in ROUNDS rounds; returns the medians and all rounds."""
    rounds = [
        {"peer": _measure_side(pair.peer, connections), "ours": _measure_side(pair.ours, connections)}
        for _ in range(ROUNDS)
    ]
    ours, peer = (
        {name: statistics.median(each[side][name] for each in rounds) for name in rounds[0][side]}
        for side in ("ours", "peer")
    )
    measured = {
        "operation": pair.ours.name, "peer": pair.peer.name, "connections": connections,
        "target": pair.targets[CONNECTIONS.index(connections)],
        "ratio": round(ours["per_second"] / peer["per_second"], 2), "median": {"ours": ours, "peer": peer},
        "rounds": rounds,
    }  # fmt: skip
    print(f"{pair.ours.name}, {connections} connections: {measured['ratio']}", flush=True)
    return measured


def _measure_side(side: Side, connections: int) -> dict[str, float]:
    """Return answers a second, the server's CPU time for each, and the CPU share of the load generator."""
    before = side.server.processor_seconds() if side.server else 0.0
    throughput = side.measure(connections)
    used = side.server.processor_seconds() - before if side.server else 0.0
    if side.server:
        side.server.wait_until_idle()
    each = used / max(throughput.per_second * SECONDS, 1)
    return {
        "per_second": round(throughput.per_second),
        "processor_microseconds": round(each * 1_000_000),
        "load_busy": round(throughput.busy, 2),
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
