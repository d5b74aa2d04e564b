"""Demo partners and the file with their credentials."""

import json
import stat
from pathlib import Path
from typing import Any

from app.core.database.pagination import PageQuery
from app.demo.partners import CREDENTIALS, ensure_demo_partners
from app.partners import store
from app.partners.rules import ALLOWED, PartnerKind
from tests.support import postgres
from tests.support.service import BASE_URL, Service


async def ensured(service: Service, data_dir: Path, url: str = BASE_URL) -> dict[str, Any]:
    await ensure_demo_partners(service.database, data_dir, url)
    written: dict[str, Any] = json.loads((data_dir / CREDENTIALS).read_text())
    return written


def files(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


async def scopes(service: Service, client: dict[str, str]) -> set[str]:
    login = (client["client_id"], client["client_secret"])
    answer = await service.http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=login)
    assert answer.status_code == 200, answer.text
    return set(answer.json()["scope"].split())


async def test_only_its_owner_can_read_the_file(service: Service, tmp_path: Path) -> None:
    (tmp_path / CREDENTIALS).with_suffix(".new").write_text("left by a crash, for all to read")
    for _ in range(2):
        await ensured(service, tmp_path)
        assert stat.S_IMODE((tmp_path / CREDENTIALS).stat().st_mode) == 0o600
        assert files(tmp_path) == [CREDENTIALS]


async def test_each_demo_client_gets_a_token_with_its_partners_scopes(service: Service, tmp_path: Path) -> None:
    written = await ensured(service, tmp_path)
    assert written["token_url"] == f"{BASE_URL}/oauth/token"
    assert set(written) == {"token_url", "clients"}
    names = ["pta-officer-1", "pta-officer-2", "pta-officer-3", "pseb", "pasha", "nayatel", "ptcl"]
    assert list(written["clients"]) == names
    held = {name: await scopes(service, client) for name, client in written["clients"].items()}
    assert "reviews:write" in held["pta-officer-1"] & held["pta-officer-2"] & held["pta-officer-3"]
    assert "registrations:write" in held["pseb"] & held["pasha"]
    assert held["nayatel"] == held["ptcl"] == ALLOWED[PartnerKind.OPERATOR]


async def test_a_second_start_keeps_the_secrets_and_writes_the_new_url(service: Service, tmp_path: Path) -> None:
    first = await ensured(service, tmp_path)
    again = await ensured(service, tmp_path, "http://register.example:9000")
    assert again["clients"] == first["clients"]
    assert again["token_url"] == "http://register.example:9000/oauth/token"


async def test_two_databases_never_share_a_secret(service: Service, tmp_path: Path) -> None:
    written = await ensured(service, tmp_path)
    secrets = [each["client_secret"] for each in written["clients"].values()]
    assert len(set(secrets)) == len(secrets)
    assert all(len(each) >= 43 for each in secrets)  # 256 bits in base64


async def test_when_the_file_is_lost_the_clients_get_new_secrets(service: Service, tmp_path: Path) -> None:
    first = await ensured(service, tmp_path)
    (tmp_path / CREDENTIALS).unlink()
    again = await ensured(service, tmp_path)
    ids, secrets = ([[client[part] for client in each["clients"].values()] for each in (first, again)]
                    for part in ("client_id", "client_secret"))  # fmt: skip
    assert ids[0] == ids[1]
    assert set(secrets[0]).isdisjoint(secrets[1])
    assert await scopes(service, again["clients"]["pseb"])


async def persons(service: Service) -> dict[str, str | None]:
    async with service.database.transaction(read_only=True) as tx:
        partner = await store.find_partner(tx, "pta")
        assert partner
        clients, _ = await store.list_clients(tx, partner.id, PageQuery())
    return {each.name: each.person for each in clients}


async def test_each_officer_is_a_different_person(service: Service, tmp_path: Path) -> None:
    await ensured(service, tmp_path)
    named = await persons(service)
    assert len(set(named.values())) == len(named) == 3
    assert all(named.values())


async def test_a_directory_of_an_earlier_version_keeps_its_secrets_and_gets_persons_and_the_third_officer(
    service: Service, tmp_path: Path
) -> None:
    first = await ensured(service, tmp_path)
    third = first["clients"].pop("pta-officer-3")
    (tmp_path / CREDENTIALS).write_text(json.dumps(first))
    url = service.settings.database_url
    await postgres.execute(url, "UPDATE clients SET person = NULL")
    await postgres.execute(url, "UPDATE clients SET name = 'x' WHERE name = 'pta-officer-3'")
    again = await ensured(service, tmp_path)
    assert again["clients"].items() >= first["clients"].items()
    assert again["clients"]["pta-officer-3"]["client_id"] != third["client_id"]
    assert await scopes(service, again["clients"]["pta-officer-3"])
    named = await persons(service)
    assert len({named[f"pta-officer-{n}"] for n in (1, 2, 3)} - {None}) == 3
