"""Receipts: verification, and the standing of their cases."""

from collections.abc import Sequence
from uuid import UUID

from app.core.database.batcher import Batcher
from app.core.database.engine import Database
from app.registrations import receipts
from app.registrations.receipts import FIRST_RECEIPT
from app.standing import store
from app.standing.errors import UnknownReceipt

MAX_BATCH = 64
NOBODY = (UUID(int=0), FIRST_RECEIPT)


class ReceiptVerifier:
    """Finds the cases of receipts, for one API process.

    Anybody may ask, so that the database is asked by one statement at a time, for all that wait (``Batcher``).
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batcher: Batcher[str, UUID | None] = Batcher(self._find, MAX_BATCH)

    async def verify(self, receipt: str) -> UUID:
        """Return the id of the case of a receipt. Raises ``UnknownReceipt``.

        A receipt that is malformed, of no case, wrong or ended takes the same steps.
        """
        found = await self._batcher.process(receipt)
        if found is None:
            raise UnknownReceipt
        return found

    async def _find(self, texts: Sequence[str]) -> list[UUID | None]:
        async with self._database.transaction(read_only=True, index_plans=True) as tx:
            parsed = [receipts.parse(tx.keyring, text) for text in texts]
            numbers = await store.receipt_numbers(tx, {each.case_number for each in parsed})
            found: list[UUID | None] = []
            for each in parsed:
                case_id, receipt_number = numbers.get(each.case_number, NOBODY)
                is_right = receipts.is_receipt_of(tx.keyring, each, case_id, receipt_number)
                found.append(case_id if is_right and each.case_number in numbers else None)
            return found
