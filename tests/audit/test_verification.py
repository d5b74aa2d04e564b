"""Whatever the owner of the database changes in the log, the tree or its checkpoints, ``verify`` finds."""

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from app.audit import store
from app.audit.errors import Difference
from app.audit.schemas import Checkpoint
from app.audit.verification import verify
from tests.support import cases, postgres
from tests.support.service import Caller, Service
from tests.support.trees import recorded, sequenced, verified
from tests.test_cli import typed

# Of the events n = 0 .. 29 in their order; verified in batches of 7.
NTH = "id = (SELECT event_id FROM audit_leaves WHERE position = {})"
COLUMNS = "id, transaction_id, sequence, occurred_at, name, subject_id, partner_id, operator, actor_client_id, actor_partner_id, details"
EDITS = [
    "id = gen_random_uuid()",
    "occurred_at = occurred_at + interval '1 microsecond'",
    "name = 'registration.approved'",
    "subject_id = gen_random_uuid()",
    "partner_id = gen_random_uuid()",
    "operator = 'ptcl'",
    "actor_client_id = gen_random_uuid()",
    "actor_partner_id = gen_random_uuid()",
    """details = details || '{"status": "approved"}'""",
    """details = details || '{"note": null}'""",
    """details = details || '{"legal_basis": "PECA"}'""",
    "details = '[]'",
    "transaction_id = '3'",
    "transaction_id = '9223372036854775000'",
]
LOG = [
    *(f"UPDATE events SET {edit} WHERE {NTH.format(position)}" for edit in EDITS for position in (5, 13)),
    *(f"DELETE FROM events WHERE {NTH.format(position)}" for position in (0, 6, 7, 29)),
    "DELETE FROM events",
    f"UPDATE events SET sequence = -1 WHERE {NTH.format(9)}",
    f"INSERT INTO events ({COLUMNS}) OVERRIDING SYSTEM VALUE SELECT gen_random_uuid(), {COLUMNS.removeprefix('id, ')} "
    f"FROM events WHERE {NTH.format(6)}",
    f"INSERT INTO events ({COLUMNS}) OVERRIDING SYSTEM VALUE SELECT gen_random_uuid(), '3', "
    f"{COLUMNS.removeprefix('id, transaction_id, ')} FROM events WHERE {NTH.format(20)}",
]
TREE = [
    "DELETE FROM audit_leaves WHERE position = 4",
    "DELETE FROM audit_leaves WHERE position = 29",
    "UPDATE audit_leaves SET salt = sha256('x') WHERE position = 4",
    "UPDATE audit_leaves SET position = -1 WHERE position = 4",
    "UPDATE audit_leaves SET event_id = gen_random_uuid() WHERE position = 4",
    "INSERT INTO audit_leaves VALUES (30, gen_random_uuid(), sha256('x'))",
    *(f"UPDATE audit_nodes SET hash = sha256('x') WHERE (level, position) = ({at})" for at in ("0, 3", "1, 3", "4, 0")),
    "DELETE FROM audit_nodes WHERE (level, position) = (2, 1)",
    "UPDATE audit_nodes SET position = 99 WHERE (level, position) = (2, 1)",
    "INSERT INTO audit_nodes VALUES (9, 0, sha256('x'))",
    "UPDATE audit_checkpoints SET root = sha256('x') WHERE size = 10",
    "UPDATE audit_checkpoints SET signed = 'x' WHERE size = 10",
    "UPDATE audit_checkpoints SET size = 11 WHERE size = 10",
    "UPDATE audit_checkpoints SET signed_at = now() WHERE size = 10",
    "UPDATE audit_checkpoints SET signed = (SELECT signed FROM audit_checkpoints WHERE size = 20) WHERE size = 10",
    "DELETE FROM audit_checkpoints WHERE size = 30",
    "DELETE FROM signing_keys",
]


async def thirty(service: Service) -> None:
    """Thirty events and three checkpoints of their tree."""
    await recorded(service, *(f"test.{number}" for number in range(30)))
    assert await sequenced(service, batch=10) == 30


async def difference(service: Service, *changes: str) -> str:
    """What ``verify`` says when the owner of the database has made these changes, of which nothing stays."""
    try:
        async with service.database.write() as session:
            await session.execute(text("SET LOCAL ROLE NONE"))
            for change in changes:
                changed = await session.execute(text(change))
                assert changed.rowcount > 0, change
            await verify(session, batch=7)
    except Difference as found:
        return str(found)
    return ""


async def kept(service: Service, size: int) -> Checkpoint:
    """A checkpoint as an outsider keeps it."""
    async with service.database.read() as session:
        return Checkpoint.model_validate(await store.checkpoint_of(session, size))


async def test_a_log_that_only_grew_shows_no_difference(service: Service) -> None:
    await thirty(service)
    await recorded(service, "test.waiting")
    assert (await verified(service, batch=7)).size == 30
    for size in (10, 20, 30):
        assert (await verified(service, batch=7, copy=await kept(service, size))).size == 30


async def test_every_change_of_log_tree_or_checkpoints_is_found(service: Service) -> None:
    await thirty(service)
    passed = [change for change in [*LOG, *TREE] if not await difference(service, change)]
    assert passed == []
    assert len([*LOG, *TREE]) > 50
    assert (await verified(service)).size == 30


async def test_the_end_of_the_log_cut_off_with_its_tree_is_found_by_a_copy_of_a_later_checkpoint(
    service: Service,
) -> None:
    await thirty(service)
    copy = await kept(service, 30)
    await postgres.execute(
        service.settings.database_url,
        "DELETE FROM events WHERE id IN (SELECT event_id FROM audit_leaves WHERE position >= 20)",
        "DELETE FROM audit_leaves WHERE position >= 20",
        "DELETE FROM audit_nodes WHERE (position + 1) << level > 20",
        "DELETE FROM audit_checkpoints WHERE size > 20",
    )
    assert (await verified(service)).size == 20
    with pytest.raises(Difference, match="of 30 leaves, and the tree has only 20"):
        await verified(service, copy=copy)


async def test_a_log_that_was_changed_and_signed_anew_by_the_service_itself_is_found_by_a_copy(
    service: Service,
) -> None:
    await thirty(service)
    copy = await kept(service, 20)
    await postgres.execute(
        service.settings.database_url,
        f"UPDATE events SET name = 'test.never' WHERE {NTH.format(15)}",
        "TRUNCATE audit_leaves, audit_nodes, audit_checkpoints",
    )
    assert await sequenced(service, batch=10) == 30
    assert (await verified(service)).size == 30
    with pytest.raises(Difference, match="The first 20 events of the log are not those"):
        await verified(service, copy=copy)


async def test_a_copy_that_the_service_never_signed_is_refused(service: Service) -> None:
    await thirty(service)
    copy = await kept(service, 20)
    for wrong in ({"size": 10}, {"root": "00" * 32}, {"signed": copy.signed[:-6] + "AAAAAA"}):
        with pytest.raises(Difference, match="signed"):
            await verified(service, copy=copy.model_copy(update=wrong))


async def test_the_order_may_be_written_anew_as_after_a_logical_restore(service: Service) -> None:
    await thirty(service)
    await postgres.execute(
        service.settings.database_url,
        "ALTER TABLE events ALTER COLUMN sequence SET GENERATED BY DEFAULT",
        """UPDATE events SET transaction_id = '3', sequence = ordered.position
           FROM (SELECT id, row_number() OVER (ORDER BY transaction_id, sequence) AS position FROM events) AS ordered
           WHERE ordered.id = events.id""",
    )
    assert (await verified(service)).size == 30
    await recorded(service, "test.after")
    assert await sequenced(service) == 31
    assert (await verified(service)).size == 31


async def test_the_command_says_what_it_found_by_its_exit_and_its_text(
    service: Service, officer: Caller, pseb: Caller, tmp_path: Path
) -> None:
    case = await cases.approved(pseb, officer)
    size = await sequenced(service)
    copy = tmp_path / "checkpoint.json"
    copy.write_bytes((await pseb.get("/v1/audit/checkpoint")).content)
    told = await typed(service.settings, "audit", "verify", "--checkpoint", str(copy))
    assert told.exit_code == 0, told.stderr
    assert json.loads(told.stdout) == {"size": size, "root": json.loads(copy.read_text())["root"]}

    await postgres.execute(
        service.settings.database_url,
        f"UPDATE events SET details = details - 'networks' WHERE subject_id = '{case['id']}'",
    )
    told = await typed(service.settings, "audit", "verify")
    assert (told.exit_code, told.stdout) == (1, "")
    assert "the leaf of event" in told.stderr

    copy.write_text("not a checkpoint")
    told = await typed(service.settings, "audit", "verify", "--checkpoint", str(copy))
    assert (told.exit_code, told.stdout) == (2, "")
    assert "GET /v1/audit/checkpoint" in told.stderr
