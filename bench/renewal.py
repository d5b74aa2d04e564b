"""Measures the renewal of a whole register by one file and one batch decision, against its first registration.

Both are measured in one run, on one server: the file is sent, approved in one batch for 30 days and published, then
sent again with ``renew=true`` and approved as renewals that change nothing, which must publish no serial. The
environment variables are ROWS and RUNS.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from app.migrating import migrate
from app.partners.rules import PartnerKind
from bench import rows
from bench.partners import SECRET_KEY, Caller, make_client, settings
from bench.processes import api_server, postgres_server, worker_process
from bench.results import Ratios
from bench.uploads import POSTGRESQL, chunks_of

ROWS, RUNS = int(os.environ.get("ROWS", "20437")), int(os.environ.get("RUNS", "3"))
POLL_SECONDS, SECONDS_FOR_A_SERIAL = 0.1, 10
STEPS = {"upload": "upload to its outcomes", "decision": "approval in one batch"}


def main() -> None:
    """Measure, print the times of both sides and their ratios, and save the results."""
    body = rows.upload(ROWS, wrong=0, shuffled=True)
    runs = [_run(body) for _ in range(RUNS)]
    ratios = Ratios()
    for step, what in STEPS.items():
        first, renewal = (statistics.median(run[side][step] for run in runs) for side in ("first", "renewal"))
        ratios.add(f"renewal: {what}", renewal, "the first registration of the same rows", first)
    ratios.save(f"renewal-{ROWS}", rows=ROWS, runs=RUNS, serials_of_the_renewal=0)


def _run(body: bytes) -> dict[str, dict[str, float]]:
    with postgres_server(**POSTGRESQL) as url:
        asyncio.run(migrate(settings(url)))
        kinds = (PartnerKind.ASSOCIATION, PartnerKind.REGULATOR)
        association, officer = (asyncio.run(make_client(url, kind)) for kind in kinds)
        environment = {"MAX_UPLOAD_BYTES": str(len(body) + 1), "STATEMENT_TIMEOUT_MS": "60000"}
        with api_server(url, SECRET_KEY, environment) as server, worker_process(url, SECRET_KEY):
            return _measure(Caller(server.port, association), Caller(server.port, officer), body)


def _measure(association: Caller, officer: Caller, body: bytes) -> dict[str, dict[str, float]]:
    _upload(association, rows.upload(0, wrong=0, shuffled=False), count=0)  # until the worker has started
    first, renewal = {}, {}
    first["upload"], upload = _upload(association, body)
    soon = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    selection = {"bulk_upload_id": upload, "status": "submitted"}
    first["decision"] = _approve(officer, {"selection": selection, "expires_at": soon})
    while not _serials(officer):
        time.sleep(POLL_SECONDS)
    renewal["upload"], _ = _upload(association, body, "?renew=true")
    renewal["decision"] = _approve(officer, {"selection": {"renewals": "unchanged"}})
    time.sleep(SECONDS_FOR_A_SERIAL)
    if _serials(officer) != 1:
        raise SystemExit("the renewal published a serial")
    return {"first": first, "renewal": renewal}


def _upload(association: Caller, body: bytes, query: str = "", *, count: int = ROWS) -> tuple[float, str]:
    """Send the file and wait for its outcomes; return the seconds, and the id of the upload."""
    began = time.perf_counter()
    headers = {"Content-Type": "text/csv", "Content-Length": str(len(body))}
    upload = association.call("POST", f"/v1/bulk-uploads{query}", content=chunks_of(body), headers=headers)
    while upload["status"] in ("received", "processing"):
        time.sleep(POLL_SECONDS)
        upload = association.call("GET", f"/v1/bulk-uploads/{upload['id']}")
    if upload["counts"]["created"] != count:
        raise SystemExit(f"the upload ended as {upload}")
    return time.perf_counter() - began, upload["id"]


def _approve(officer: Caller, decision: Mapping[str, Any]) -> float:
    """Approve all selected cases in one batch; return the seconds."""
    began = time.perf_counter()
    body = {"action": "approve", "including_flags": ["outside_country", "operator_prefix_mismatch"], **decision}
    decided = officer.call("POST", "/v1/review-decisions/batch", json=body)["counts"]["decided"]
    if decided != ROWS:
        raise SystemExit(f"{decided} of {ROWS} cases were approved")
    return time.perf_counter() - began


def _serials(officer: Caller) -> int:
    return len(officer.call("GET", "/v1/allowlist/publications?limit=2")["items"])


if __name__ == "__main__":
    main()
