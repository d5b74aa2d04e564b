"""Receipts: verification, and the standing of their cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from uuid import UUID

from app.core.database.batcher import Batcher
from app.core.database.engine import Database
from app.core.database.transaction import Transaction
from app.core.validation import networks
from app.registrations import receipts, transfer_codes
from app.registrations.lines import REPLACEABLE
from app.registrations.receipts import FIRST_RECEIPT
from app.registrations.rules import UNDER_REVIEW, wrong_status
from app.standing import rules, schemas, store
from app.standing.errors import UnknownReceipt
from app.standing.hints import hints_of
from app.standing.rules import Holding, RegisteredCase, Standing
from app.standing.texts import STEPS, Language, translate

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


@dataclass(frozen=True, slots=True)
class FoundStanding:
    """A case with what it holds, and its standing at a moment: of an address that is one of it, else of it all.

    ``address_matches`` is None when no address was given.
    """

    case: RegisteredCase
    holdings: Sequence[Holding]
    moment: datetime
    standing: Standing
    address_matches: bool | None


async def find_standing(tx: Transaction, case_id: UUID, address: str | None = None) -> FoundStanding:
    """Return the present standing of a case; the transaction is the service's."""
    case = (await store.read_cases(tx, [case_id]))[case_id]
    holdings = (await store.read_holdings(tx, [case_id])).get(case_id, ())
    moment = await tx.now()
    position = networks.to_integer(ip_address(address)) if address else None
    matches = _matches(case, holdings, position, moment) if position is not None else None
    in_step = await store.operator_in_step(tx, case.operator)
    found = rules.standing(case, holdings, moment, position=position if matches else None, in_step=in_step)
    return FoundStanding(case, holdings, moment, found, matches)


def _matches(case: RegisteredCase, holdings: Sequence[Holding], position: int, moment: datetime) -> bool:
    """True for an address of the case, or of a network that it still holds on the list because of a hand-over."""
    return case.contains(position) or any(each.is_listed(moment) and each.contains(position) for each in holdings)


def resource_of(found: FoundStanding, language: Language) -> schemas.RegistrationStanding:
    """Return a standing as the holder of the receipt is told it, in a language."""
    case, standing = found.case, found.standing
    hints = hints_of(
        case, found.holdings, standing, found.moment, address_matches=found.address_matches, language=language
    )
    return schemas.RegistrationStanding(
        status=case.status,
        standing=standing.state,
        since=standing.since,
        until=standing.until,
        reason_codes=case.reason_codes,
        hints=[*hints],
        due_at=case.due_at if case.status in UNDER_REVIEW else None,
        overdue=rules.is_overdue(case, found.moment),
        expires_at=case.expires_at,
        renewable_from=case.renewable_from,
        ends_at=case.ends_at,
        notice=case.notice and schemas.AnnouncedNotice.model_validate(case.notice),
        operator=schemas.OperatorStep(code=case.operator, in_step=standing.in_step),
        address_matches=found.address_matches,
        next_step=translate(language, STEPS[standing.next_step]),
    )


async def make_transfer_code(tx: Transaction, case_id: UUID) -> schemas.TransferCode:
    """Return a one-time code for a case; it ends an earlier one. The transaction is the service's.

    Raises ``IllegalTransition`` for a case that no other may replace.
    """
    case = (await store.read_cases(tx, [case_id]))[case_id]
    if case.status not in REPLACEABLE:
        raise wrong_status(case.status, REPLACEABLE, "transferred")
    expires_at = await tx.now() + transfer_codes.VALID_FOR
    return schemas.TransferCode(code=await transfer_codes.issue(tx, case_id), expires_at=expires_at)
