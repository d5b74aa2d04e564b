"""The demo partners of the embedded database, and the file with their credentials."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from app.core.db import Database, WriteSession
from app.core.pagination import PageQuery
from app.core.preconditions import ANY_VERSION
from app.partners import service, store
from app.partners.models import Partner
from app.partners.rules import PartnerKind
from app.partners.schemas import NewClient, NewPartner
from app.partners.service import Issued

CREDENTIALS = "demo-credentials.json"
# partner: kind, operator code, clients
PARTNERS = {
    "pta": (PartnerKind.REGULATOR, None, ("pta-officer-1", "pta-officer-2")),
    "pseb": (PartnerKind.ASSOCIATION, None, ("pseb",)),
    "pasha": (PartnerKind.ASSOCIATION, None, ("pasha",)),
    "nayatel": (PartnerKind.OPERATOR, "nayatel", ("nayatel",)),
    "ptcl": (PartnerKind.OPERATOR, "ptcl", ("ptcl",)),
}


async def ensure_demo_partners(database: Database, data_dir: Path, public_url: str) -> None:
    """Make the demo partners once, with fresh random secrets in a file that only its owner can read.

    When the file is lost, the clients get new secrets.
    """
    path = data_dir / CREDENTIALS
    async with database.write() as session:
        if await store.find_partner(session, "pta") is not None and path.exists():
            _write(path, json.loads(path.read_text())["clients"], public_url)
            return
        clients = {}
        for name, (kind, operator, client_names) in PARTNERS.items():
            body = NewPartner(name=name, kind=kind, operator=operator)
            partner = await store.find_partner(session, name) or await service.create_partner(session, None, body)
            for client_name in client_names:
                issued = await _issue(session, partner, client_name)
                clients[client_name] = {"client_id": issued.client.client_id, "client_secret": issued.client_secret}
        _write(path, clients, public_url)


async def _issue(session: WriteSession, partner: Partner, name: str) -> Issued:
    held, _ = await store.list_clients(session, partner.id, PageQuery())
    for client in held:
        if client.name == name:
            return await service.rotate_secret(session, None, client, ANY_VERSION, overlap_seconds=0)
    return await service.create_client(session, None, partner, NewClient(name=name))


def _write(path: Path, clients: Mapping[str, Mapping[str, str | None]], public_url: str) -> None:
    """Write the credentials whole or not at all."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"token_url": f"{public_url}/oauth/token", "clients": clients}, file, indent=2)
    beside.replace(path)
