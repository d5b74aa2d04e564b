"""One-time codes, for which another partner may replace a case that it does not see."""

import re
import secrets
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Text, bindparam, delete, func, insert, select
from sqlalchemy.dialects.postgresql import ARRAY

from app.core.database.base import NOW
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.core.keyring import Keyring
from app.registrations.models import TransferCode

VALID_FOR = timedelta(hours=72)
# Crockford's base 32, without letters that look like digits.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PREFIX, GROUPS, GROUP_LENGTH = "TC", 4, 4
_LOOK_ALIKE = str.maketrans("OIL", "011")
_USE = Statement(select(func.use_transfer_codes(bindparam("hashes", type_=ARRAY(Text)))))


async def issue(tx: Transaction, registration_id: UUID) -> str:
    """Return a new code for a case, valid for 72 hours; it ends an earlier one that was not used.

    The transaction is the service's. The code is stored as a keyed hash.
    """
    groups = ("".join(secrets.choice(ALPHABET) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS))
    code = "-".join((PREFIX, *groups))
    unused = (TransferCode.registration_id == registration_id, TransferCode.used_at.is_(None))
    await tx.execute(delete(TransferCode).where(*unused))
    row = {"hash": hash_of(tx.keyring, code), "registration_id": registration_id, "expires_at": NOW + VALID_FOR}
    await tx.execute(insert(TransferCode).values(**row))
    return code


def hash_of(keyring: Keyring, code: str) -> str:
    """Return the keyed hash of a code; case, other signs and letters that look like digits do not matter."""
    plain = re.sub(r"[^0-9A-Z]", "", code.upper()).removeprefix(PREFIX)
    return keyring.keyed_hash("transfer-code", plain.translate(_LOOK_ALIKE))


async def forget_ended(tx: Transaction) -> None:
    """Delete codes that are no longer valid."""
    await tx.execute(delete(TransferCode).where(TransferCode.expires_at <= NOW))


async def use(tx: Transaction, hashes: Collection[str]) -> None:
    """Note that the tenant of the transaction has used codes, given by their hashes and locked by ``lock_replaced``."""
    if hashes:
        await tx.fetch(_USE, hashes=list(hashes))
