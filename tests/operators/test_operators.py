"""Operators, their prefixes and the country's allocations: the reference data of the project."""

from ipaddress import ip_network

import pytest
from sqlalchemy import func, select

from app.core.database.batches import column_text
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.core.validation.networks import parse_canonical
from app.migrating import migrate
from app.operators import service as operators
from app.operators import store
from app.operators.models import CountryPrefix, Operator, OperatorPrefix
from app.operators.rules import PrefixTable
from tests.support import cases
from tests.support.service import Caller, Service


async def test_operators_are_listed_only_with_a_token(service: Service, nayatel: Caller) -> None:
    assert (await service.http.get("/v1/operators")).status_code == 401
    answer = await nayatel.get("/v1/operators")
    assert answer.status_code == 200
    items = answer.json()["items"]
    assert {"code": "nayatel", "name": "Nayatel (Pvt) Ltd", "asn": 23674} in items
    assert [item["code"] for item in items] == sorted({item["code"] for item in items})
    assert (answer.json()["next_cursor"], "Link" in answer.headers) == (None, False)


@pytest.mark.parametrize("code", ["nobody", "NAYATEL", "23674"])
async def test_a_registration_cannot_name_an_operator_that_is_not_listed(pseb: Caller, code: str) -> None:
    applicant = (await pseb.post("/v1/applicants", json=cases.company())).json()
    answer = await pseb.post("/v1/registrations", json=cases.registration(applicant["id"], operator=code))
    assert answer.status_code == 422
    assert cases.codes(answer) == {"/operator": "unknown_operator"}


async def around(tx: Transaction, *networks: str) -> PrefixTable:
    found = await tx.fetch(Statement(store.prefix_statement(networks)), network=column_text(networks))
    return PrefixTable(found)


async def test_a_network_is_looked_up_in_the_allocations_and_in_the_prefixes_of_its_operator(
    service: Service,
) -> None:
    claims = {
        ("nayatel", "45.115.84.0/24"): (True, True),
        ("ptcl", "45.115.84.0/24"): (True, False),
        ("nobody", "45.115.84.0/24"): (True, False),
        ("nayatel", "8.8.8.8/32"): (False, False),
        ("nayatel", "128.0.0.0/1"): (False, False),
        ("nayatel", "2001:4860:4860::8888/128"): (False, False),
        ("nayatel", "154.192.0.0/16"): (False, True),
    }
    async with service.database.transaction(read_only=True) as tx:
        whole = await store.read_prefix_table(tx)
        for (operator, network), verdict in claims.items():
            for atlas in (whole, await around(tx, network)):
                lies = parse_canonical(network)
                assert (atlas.is_in_country(lies), atlas.is_announced_by(operator, lies)) == verdict
        assert not (await around(tx)).is_in_country(parse_canonical("45.115.84.0/24"))


async def test_the_reference_data_is_canonical_and_loading_it_again_changes_nothing(service: Service) -> None:
    listed = operators.country_prefixes()
    assert len(listed) == len(set(listed))
    assert all(str(ip_network(prefix)) == prefix for prefix in listed)
    assert {":" in prefix for prefix in listed} == {True, False}
    assert len({parse_canonical(prefix).first for prefix in listed}) > 1_000

    async def counts() -> list[int | None]:
        async with service.database.transaction(read_only=True) as tx:
            tables = (Operator, OperatorPrefix, CountryPrefix)
            return [await tx.scalar(select(func.count()).select_from(table)) for table in tables]

    before = await counts()
    assert before[2] == len(listed)
    await migrate(service.settings)
    assert await counts() == before
