"""Demo partners of the embedded database, and the file with their credentials."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from app.core.database.engine import Database
from app.core.database.pagination import PageQuery
from app.core.database.transaction import Transaction
from app.core.validation.preconditions import ANY_VERSION
from app.core.validation.schemas import MAX_PAGE_SIZE
from app.partners import service, store
from app.partners.models import Client, Partner
from app.partners.rules import ALLOWED, PartnerKind
from app.partners.schemas import ClientPatch, NewClient, NewPartner

CREDENTIALS = "demo-credentials.json"
# partner: kind, operator code, clients
PARTNERS = {
    "pta": (PartnerKind.REGULATOR, None, ("pta-officer-1", "pta-officer-2", "pta-officer-3")),
    "pseb": (PartnerKind.ASSOCIATION, None, ("pseb",)),
    "pasha": (PartnerKind.ASSOCIATION, None, ("pasha",)),
    "nayatel": (PartnerKind.OPERATOR, "nayatel", ("nayatel",)),
    "ptcl": (PartnerKind.OPERATOR, "ptcl", ("ptcl",)),
}
Login = Mapping[str, str | None]


async def ensure_demo_partners(database: Database, data_dir: Path, public_url: str) -> None:
    """Create the demo partners with random secrets, in a file that only its owner can read.

    Clients in the file keep their secrets; the others get new ones. Officers of an earlier version get a person.
    """
    path = data_dir / CREDENTIALS
    known: dict[str, Login] = json.loads(path.read_text())["clients"] if path.exists() else {}
    async with database.transaction() as tx:
        clients: dict[str, Login] = {}
        for name, (kind, operator, client_names) in PARTNERS.items():
            body = NewPartner(name=name, kind=kind, operator=operator)
            partner = await store.find_partner(tx, name) or await service.create_partner(tx, None, body)
            listed, _ = await store.list_clients(tx, partner.id, PageQuery(limit=MAX_PAGE_SIZE))
            existing = {client.name: client for client in listed}
            for client_name in client_names:
                clients[client_name] = await _ensure_client(tx, partner, client_name, existing, known)
        _write(path, known | clients, public_url)


async def _ensure_client(
    tx: Transaction, partner: Partner, name: str, existing: Mapping[str, Client], known: Mapping[str, Login]
) -> Login:
    """Return the login of a demo client from the file, or else a new one."""
    client = existing.get(name)
    person = name if partner.kind == PartnerKind.REGULATOR else None
    if client is None:
        # with partners:admin, so that everything can be tried
        scopes = sorted(ALLOWED[partner.kind])
        issued = await service.create_client(tx, None, partner, NewClient(name=name, scopes=scopes, person=person))
    else:
        if person and client.person is None:
            await service.change_client(tx, None, client, ANY_VERSION, ClientPatch(person=person))
        if name in known:
            return known[name]
        issued = await service.rotate_secret(tx, None, client, ANY_VERSION, overlap_seconds=0)
    return {"client_id": issued.client.client_id, "client_secret": issued.client_secret}


def _write(path: Path, clients: Mapping[str, Login], public_url: str) -> None:
    """Write the credentials atomically."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"token_url": f"{public_url}/oauth/token", "clients": clients}, file, indent=2)
    temporary.replace(path)
