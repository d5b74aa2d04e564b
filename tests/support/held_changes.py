"""A mass removal that the publisher holds, made without the cases that it came from."""

from sqlalchemy import select

from app.allowlist.models import HeldChange
from tests.support import feed
from tests.support.service import Service

APART = 65_536  # from the addresses that cases register


async def held_removal(service: Service) -> str:
    """The id of a change that waits for another officer."""
    networks = feed.addresses(12, start=APART)
    await feed.granted(service, networks)
    await service.publish()
    await feed.withdrawn(service, networks[1:], in_mass=True)
    await service.publish()
    async with service.database.transaction(read_only=True) as tx:
        return str(await tx.scalar(select(HeldChange.id)))
