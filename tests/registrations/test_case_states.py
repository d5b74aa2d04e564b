"""The present states of cases: in force is what is granted and published."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.core.principal import Principal
from app.registrations.case_states import CaseState, read_states
from app.registrations.rules import LISTED, Status
from tests.support import cases
from tests.support.service import Caller, Service


async def states(caller: Caller, *found: dict[str, Any]) -> Mapping[UUID | None, CaseState]:
    """Read as the partner does, which sees its own cases and the published networks alone."""
    by = caller.credentials
    principal = Principal(by.id, by.partner_id, "association", None, frozenset())
    async with caller.service.database.transaction(principal, read_only=True) as tx:
        return await read_states(tx, [UUID(each["id"]) for each in found])


async def test_another_partners_cases_have_no_state(pseb: Caller, pasha: Caller, officer: Caller) -> None:
    case = await cases.approved(pseb, officer)
    assert await states(pasha, case) == {}


async def put(service: Service, case: dict[str, Any], status: str) -> None:
    async with service.database.transaction() as tx:
        statement = text("UPDATE registrations SET status = :status WHERE id = :id")
        await tx.execute(statement, {"status": status, "id": UUID(case["id"])})


async def test_no_ids_are_no_states_and_an_unknown_id_has_none(service: Service) -> None:
    async with service.database.transaction(read_only=True) as tx:
        assert await read_states(tx, []) == {}
        assert await read_states(tx, [UUID(int=1)]) == {}


async def test_an_approval_is_in_force_once_all_its_networks_are_published(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await cases.approved(pseb, officer, networks=[cases.address(), cases.address()])
    id_ = UUID(case["id"])
    assert not (await states(pseb, case))[id_].in_force
    await service.publish()
    state = (await states(pseb, case))[id_]
    assert (state.status, state.in_force, state.expires_at is not None) == ("approved", True, True)
    async with service.database.transaction() as tx:
        removed = text("UPDATE allowlist_entries SET removed_serial = 1 WHERE network = CAST(:network AS cidr)")
        await tx.execute(removed, {"network": case["networks"][1]})
    assert not (await states(pseb, case))[id_].in_force


async def test_an_approval_is_in_force_while_a_wider_network_than_its_own_is_published(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await cases.approved(pseb, officer)
    async with service.database.transaction() as tx:
        await tx.execute(text("UPDATE allowlist_entries SET network = set_masklen(network, 31)"))
    await service.publish()
    assert (await states(pseb, case))[UUID(case["id"])].in_force


@pytest.mark.parametrize("status", Status)
async def test_a_case_is_in_force_in_no_status_but_approved_and_lapsed(
    service: Service, pseb: Caller, officer: Caller, status: str
) -> None:
    case = await cases.approved(pseb, officer)
    await service.publish()
    await put(service, case, status)
    state = (await states(pseb, case))[UUID(case["id"])]
    assert (state.status, state.in_force) == (status, status in LISTED)
