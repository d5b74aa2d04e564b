"""The code of a mail, as the database has it before it is sent."""

from uuid import UUID

from sqlalchemy import select

from app.mail import service as mail
from app.mail.models import CODE, Mail
from tests.support.service import Service


async def code_asked_for(service: Service, registration_id: str) -> str:
    """Ask for a code for a case's applicant, and return it."""
    async with service.database.transaction() as tx:
        await mail.ask_for_code(tx, UUID(registration_id), "en")
        sealed = (await tx.scalars(select(Mail.sealed_code).order_by(Mail.id.desc()).limit(1))).one()
        assert sealed is not None
        return tx.keyring.unseal_text(CODE, sealed)
