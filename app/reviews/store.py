"""SQL of decisions."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Text, Uuid, func, insert, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from app.core.database.base import INSTANT
from app.core.database.batches import UUID7
from app.core.database.pagination import fetch_page, matching
from app.core.database.transaction import Transaction
from app.core.errors import NotFound
from app.reviews.models import ReviewDecision
from app.reviews.schemas import ReviewDecisionsQuery

COLUMNS: dict[str, Any] = {
    "batch_id": Uuid, "action": Text, "reason_codes": ARRAY(Text), "note": Text,
    "legal_basis": Text, "expires_at": INSTANT, "officer": Uuid,
}  # fmt: skip


async def add(tx: Transaction, registration_ids: Sequence[UUID], decision: dict[str, Any]) -> None:
    """Insert the same decision for each registration."""
    registration_id = func.unnest(literal(list(registration_ids), ARRAY(Uuid))).column_valued("registration_id")
    values = {name: literal(decision.get(name), kind) for name, kind in COLUMNS.items()}
    rows = select(UUID7, registration_id, *values.values())
    await tx.execute(insert(ReviewDecision).from_select(["id", "registration_id", *values], rows))


async def of_batch(tx: Transaction, batch_id: UUID) -> ReviewDecision:
    """Return the decision of a batch of one. Raises ``NotFound``."""
    decision = await tx.scalar(select(ReviewDecision).where(ReviewDecision.batch_id == batch_id))
    if decision is None:
        raise NotFound
    return decision


async def get(tx: Transaction, decision_id: UUID) -> ReviewDecision:
    """Return a decision. Raises ``NotFound``."""
    decision = await tx.get(ReviewDecision, decision_id)
    if decision is None:
        raise NotFound
    return decision


async def list_page(tx: Transaction, query: ReviewDecisionsQuery) -> tuple[Sequence[ReviewDecision], str | None]:
    """Return a page of decisions, oldest first, and the next cursor."""
    filters = query.filters()
    statement = select(ReviewDecision)
    if start := filters.pop("decided_from", None):
        statement = statement.where(ReviewDecision.decided_at >= start)
    if end := filters.pop("decided_before", None):
        statement = statement.where(ReviewDecision.decided_at < end)
    statement = statement.where(*matching(ReviewDecision, filters))
    return await fetch_page(tx, statement, ReviewDecision.id, query, list_name="review-decisions")
