"""Every way to read the log goes by an index, however long the log is."""

from itertools import product
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import select, text

from app.core.principal import Principal
from app.events import store
from app.events.models import Event
from app.events.store import Wanted
from tests.support.service import Service

EVENTS = 100_000
PARTNER, OTHER, SUBJECT = UUID(int=1), UUID(int=2), UUID(int=3)
# 200 events in a transaction; one in 1,000 is the small partner's, one in 10,000 has the rare type or is of the subject
FILL = """
    INSERT INTO events (id, transaction_id, name, subject_id, partner_id, operator)
    SELECT gen_random_uuid(), (n / 200)::text::xid8,
           CASE WHEN n % 10000 = 7 THEN 'registration.revoked' ELSE 'registration.submitted' END,
           CASE WHEN n % 10000 = 8 THEN $2::uuid ELSE gen_random_uuid() END,
           CASE WHEN n % 1000 = 9 THEN $3::uuid ELSE $4::uuid END,
           CASE WHEN n % 1000 = 10 THEN 'ptcl' ELSE 'nayatel' END
    FROM generate_series(1, $1) n
"""
READERS = {
    "regulator": Principal(OTHER, OTHER, "regulator", None, frozenset()),
    "association": Principal(PARTNER, PARTNER, "association", None, frozenset()),
    "operator": Principal(PARTNER, PARTNER, "operator", "ptcl", frozenset()),
    "newcomer": Principal(UUID(int=9), UUID(int=9), "operator", "cybernet", frozenset()),
}
WANTED = {
    "all": Wanted(),
    "a rare type": Wanted(["registration.revoked"]),
    "several types": Wanted(["registration.revoked", "registration.approved", "client.created"]),
    "a subject": Wanted(subject_id=SUBJECT),
    "a subject and a type": Wanted(["registration.revoked"], SUBJECT),
}
READ = text("SELECT seq_scan, seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'events'")
MOST_ROWS = 1_000  # for pages of 50


@pytest.fixture
async def long_log(service: Service) -> Service:
    """A service whose log is long, with statistics."""
    connection = await asyncpg.connect(service.settings.database_url)
    try:
        await connection.execute(FILL, EVENTS, SUBJECT, PARTNER, OTHER)
        await connection.execute("ANALYZE events")
    finally:
        await connection.close()
    return service


async def test_no_filter_and_no_order_reads_the_log_from_its_beginning(long_log: Service) -> None:
    async with long_log.database.transaction(read_only=True) as tx:
        middle = await tx.scalar(
            select(Event.id).where(Event.partner_id == PARTNER).order_by(Event.sequence).offset(50)
        )
    for reader, principal in READERS.items():
        for wanted, newest_first, place in product(WANTED, (False, True), (None, middle)):
            if place and reader == "newcomer":
                continue  # it may not see the event
            async with long_log.database.transaction(principal, read_only=True) as tx:
                scans, rows = (await tx.execute(READ)).one()
                await store.read(tx, principal, after=place, limit=50, wanted=WANTED[wanted], newest_first=newest_first)
                scans_after, rows_after = (await tx.execute(READ)).one()
            said = f"{wanted} for {reader}, {newest_first=}, {place=}"
            assert scans_after == scans, f"sequential scan: {said}"
            assert rows_after - rows <= MOST_ROWS, f"{rows_after - rows} rows read: {said}"
