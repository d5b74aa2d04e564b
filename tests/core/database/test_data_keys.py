"""Data keys are rotated while all processes run, and older values are resealed."""

import asyncio

import pytest
from sqlalchemy import text

from app.core.database import data_keys
from app.core.database.engine import Database
from app.core.keyring import SealBroken
from app.core.settings import Settings
from app.migrating import migrate
from app.worker import Worker
from tests.support import cases, postgres, uploads
from tests.support.service import Caller, Service

USED = "SELECT DISTINCT get_byte({column}, 3) FROM {table} WHERE {column} IS NOT NULL"


async def key_ids(service: Service) -> set[int]:
    """Return the ids of the keys that seal a value in the database."""
    found: set[int] = set()
    async with service.database.transaction(read_only=True) as tx:
        for column in data_keys.sealed_columns():
            found |= set(await tx.scalars(text(USED.format(column=column.name, table=column.table.name))))
    return found


async def age_by_seconds(service: Service, seconds: int = 61) -> None:
    past = f"UPDATE data_keys SET created_at = created_at - interval '{seconds} seconds'"
    await postgres.execute(service.settings.database_url, past)
    for database in (service.database, service.app.state.database):
        await database.read_keys()


async def rotate(database: Database) -> int:
    async with database.transaction() as tx:
        return await data_keys.rotate(tx, database.keyring)


async def reseal(settings: Settings) -> None:
    worker = Worker(settings)
    await worker.reseal()
    await worker.close()


async def fill_every_sealed_column(pseb: Caller) -> str:
    person = cases.individual(mobile="+923001234567")
    made = await pseb.post("/v1/applicants", json=person, headers={"Idempotency-Key": "once"})
    await uploads.ingest(pseb, uploads.csv_of([uploads.row("A", email="@")]))
    await uploads.send(pseb, uploads.csv_of([uploads.row("B")]))
    assert made.status_code == 201
    return made.headers["Location"]


async def test_a_new_key_seals_nothing_before_every_process_has_had_time_to_know_it(
    service: Service, pseb: Caller
) -> None:
    new = await rotate(service.database)
    await service.app.state.database.read_keys()
    await pseb.post("/v1/applicants", json=cases.individual())
    assert new not in await key_ids(service)
    await age_by_seconds(service, 11)
    await pseb.post("/v1/applicants", json=cases.individual())
    assert new in await key_ids(service)


async def test_everything_is_sealed_anew_after_a_rotation_and_reads_as_before(
    service: Service, settings: Settings, pseb: Caller, officer: Caller
) -> None:
    path = await fill_every_sealed_column(pseb)
    before = (await pseb.get(path)).json()
    old = await key_ids(service)
    new = await rotate(service.database)
    await age_by_seconds(service)
    await reseal(settings)
    assert await key_ids(service) == {new} != old
    assert (await pseb.get(path)).json() == before
    assert (await officer.post(f"{path}/reveal", json={"reason": "x"})).json()["cnic"][-3:] == before["cnic"][-3:]
    await service.ingest_all()
    async with service.database.transaction(read_only=True) as tx:
        in_use = text("SELECT id FROM data_keys WHERE purpose = 'seal' AND retired_at IS NULL")
        assert list(await tx.scalars(in_use)) == [new]


async def test_writers_and_readers_go_on_while_keys_rotate(service: Service, settings: Settings, pseb: Caller) -> None:
    async def write_often() -> int:
        held = 0
        for _ in range(15):
            made = await pseb.post("/v1/applicants", json=cases.individual(mobile="+923001234567"))
            held += (await pseb.get(made.headers["Location"])).json()["mobile"] == "+923001234567"
        return held

    async def rotate_often() -> None:
        for _ in range(3):
            await rotate(service.database)
            await age_by_seconds(service)
            await reseal(settings)

    *written, _ = await asyncio.gather(write_often(), write_often(), rotate_often())
    assert written == [15, 15]
    await reseal(settings)
    assert len(await key_ids(service)) == 1


async def test_a_new_secret_key_opens_the_database_while_the_previous_one_is_given_and_then_alone(
    service: Service, settings: Settings, pseb: Caller
) -> None:
    person = cases.individual()
    made = await pseb.post("/v1/applicants", json=person)
    new = {"secret_key": "a new secret key that is long enough", "secret_key_previous": None}
    with_previous = new | {"secret_key_previous": postgres.SECRET_KEY}
    await migrate(postgres.settings_for(settings.database_url, **with_previous))
    rotated = Service(postgres.settings_for(settings.database_url, **new))
    caller = Caller(rotated, pseb.credentials, await rotated.token(pseb.credentials))
    again = await caller.post("/v1/applicants", json=person)
    assert (again.status_code, again.json()) == (200, made.json())
    await rotated.close()


async def test_a_wrong_secret_key_opens_nothing(settings: Settings, pseb: Caller) -> None:
    wrong = Database(postgres.settings_for(settings.database_url, secret_key="a secret key of some other service"))
    await wrong.read_keys()
    with pytest.raises(SealBroken):
        wrong.keyring.seal("applicants.sealed_cnic", b"x")
    await wrong.close()
