"""SQL statements on partners, clients, changes of clients, and signing keys."""

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from joserfc.jwk import JWKRegistry, Key, KeySet
from sqlalchemy import ColumnElement, UnaryExpression, and_, delete, func, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from app.core.auth import signatures
from app.core.auth.signatures import ALGORITHM
from app.core.database.base import INSTANT, NOW
from app.core.database.batches import any_of
from app.core.database.pagination import PageQuery, fetch_page, matching
from app.core.database.transaction import Transaction
from app.core.errors import NotFound
from app.core.settings import SigningAlgorithm
from app.partners.change_schemas import ClientChangesQuery
from app.partners.errors import NameTaken
from app.partners.models import Client, ClientChange, Partner, SigningKey, UsedAssertion
from app.partners.persons import ClientUser, ClientUsers
from app.partners.rules import MANAGE

SEALED_JWK = "signing_keys.sealed_jwk"
# longer than a manifest is valid, and than consumers should cache the key set
KEY_OVERLAP = timedelta(days=7)
# to which times are rounded up, so that few certificates of a key change its row
PUBLISHED_STEP = timedelta(days=30)
# longer than the service's processes wait before they read the keys again for an unknown key id
PUBLISHED_BEFORE_SIGNING = timedelta(seconds=10)
# longer than the leeway for assertions and the difference of clocks
USED_ASSERTIONS_KEPT = timedelta(minutes=5)
# longer than any token is valid (TOKEN_SECONDS is at most an hour)
REVOCATIONS_KEPT = timedelta(hours=2)


async def add(tx: Transaction, row: Partner | Client) -> None:
    """Insert a partner or a client. Raises ``NameTaken``."""
    tx.add(row)
    await _flush(tx, row)
    await tx.refresh(row)


async def _flush(tx: Transaction, row: Partner | Client) -> None:
    name = row.name  # unknown after the failure
    try:
        await tx.flush()
    except IntegrityError as taken:
        raise NameTaken(f"{name!r} is taken.") from taken


async def get_partner(tx: Transaction, partner_id: UUID) -> Partner:
    """Return one partner. Raises ``NotFound``."""
    partner = await tx.get(Partner, partner_id)
    if partner is None:
        raise NotFound
    return partner


async def lock_partner(tx: Transaction, partner_id: UUID, *, shared: bool = False) -> Partner:
    """Return one partner, locked against changes of it and of its clients, but not against new cases and events.

    ``shared`` locks do not wait for each other. Raises ``NotFound``.
    """
    statement = select(Partner).where(Partner.id == partner_id).with_for_update(read=shared, key_share=not shared)
    await tx.execute(statement.execution_options(populate_existing=True))
    return await get_partner(tx, partner_id)


async def revoke_tokens_of(tx: Transaction, partner_id: UUID) -> None:
    """Revoke the tokens of all clients of a partner, which change their versions."""
    later = func.greatest(func.now(), Client.tokens_not_before + timedelta(microseconds=1))  # whatever clock was ahead
    changed = update(Client).where(Client.partner_id == partner_id).values(version=Client.version + 1)
    await tx.execute(changed.values(tokens_not_before=later, updated_at=func.now()))


async def managers(tx: Transaction, partner_id: UUID) -> set[UUID]:
    """Return the enabled clients of a partner that may manage its clients."""
    of_partner = select(Client.id).where(Client.partner_id == partner_id, Client.disabled_at.is_(None))
    return set(await tx.scalars(of_partner.where(Client.scopes.contains([MANAGE]))))


async def find_partner(tx: Transaction, name: str) -> Partner | None:
    """Return the partner of that name, or None."""
    partner: Partner | None = await tx.scalar(select(Partner).where(Partner.name == name))
    return partner


async def list_partners(tx: Transaction, query: PageQuery) -> tuple[list[Partner], str | None]:
    """Return a page of partners, oldest first, and the cursor of the next page."""
    items, cursor = await fetch_page(tx, select(Partner), Partner.id, query, list_name="partners")
    return list(items), cursor


async def get_client(tx: Transaction, partner_id: UUID, client_id: UUID, *, lock: bool = False) -> Client:
    """Return one client of a partner; ``lock`` locks its row. Raises ``NotFound``."""
    statement = select(Client).where(Client.partner_id == partner_id, Client.id == client_id)
    client = await tx.scalar(statement.with_for_update(of=Client) if lock else statement)
    if client is None:
        raise NotFound
    return client


async def find_client(tx: Transaction, client_id: str) -> Client | None:
    """Return the client with this OAuth ``client_id``, or None."""
    client: Client | None = await tx.scalar(select(Client).where(Client.client_id == client_id))
    return client


async def find_clients(tx: Transaction, client_ids: Collection[str]) -> Sequence[Client]:
    """Return the existing clients among these OAuth ``client_id``s."""
    return (await tx.scalars(select(Client).where(Client.client_id.in_(client_ids)))).all()


async def find_external(tx: Transaction, partner: str, issuer: str, subject: str) -> Client | None:
    """Return the client of an external issuer's subject, or None."""
    client: Client | None = await tx.scalar(
        select(Client)
        .join(Partner)
        .where(Partner.name == partner, Client.external_issuer == issuer, Client.external_subject == subject)
    )
    return client


async def add_external(tx: Transaction, partner_id: UUID, name: str, issuer: str, subject: str) -> UUID | None:
    """Insert the client of an external issuer's subject and return its id; None when it exists."""
    identity = {"partner_id": partner_id, "external_issuer": issuer, "external_subject": subject}
    added: UUID | None = await tx.scalar(
        insert(Client)
        .values(**identity, name=name, client_id=name, scopes=[])
        .on_conflict_do_nothing()  # concurrent inserts may conflict in the name or in the subject
        .returning(Client.id)
    )
    return added


async def use_assertion(tx: Transaction, client_id: UUID, jti: str, expires_at: datetime) -> bool:
    """Record the use of a client's assertion; return False when it was used before."""
    used = insert(UsedAssertion).values(client_id=client_id, jti=jti, expires_at=expires_at)
    return await tx.scalar(used.on_conflict_do_nothing().returning(UsedAssertion.jti)) is not None


async def forget_used_assertions(tx: Transaction) -> None:
    """Delete expired assertions."""
    await tx.execute(delete(UsedAssertion).where(UsedAssertion.expires_at < func.now() - USED_ASSERTIONS_KEPT))


async def list_clients(tx: Transaction, partner_id: UUID, query: PageQuery) -> tuple[list[Client], str | None]:
    """Return a page of a partner's clients, oldest first, and the cursor of the next page."""
    statement = select(Client).where(Client.partner_id == partner_id)
    items, cursor = await fetch_page(tx, statement, Client.id, query, list_name=f"clients {partner_id}")
    return list(items), cursor


async def client_users(tx: Transaction, caller: UUID, others: Collection[UUID]) -> ClientUsers:
    """Return the users of the caller's client and of other clients."""
    person = func.coalesce(Client.person, Client.external_subject)
    statement = select(Client.id, Partner.kind, person, Client.disabled_at.is_not(None)).join(Partner)
    found = await tx.execute(statement.where(any_of(Client.id, {caller, *others})))
    return ClientUsers(caller, (ClientUser(*row) for row in found))


async def add_change(tx: Transaction, change: ClientChange) -> ClientChange:
    """Insert a change that awaits its confirmation."""
    tx.add(change)
    await tx.flush()
    await tx.refresh(change)
    return change


async def get_change(tx: Transaction, partner_id: UUID, change_id: UUID, *, lock: bool = False) -> ClientChange:
    """Return one change of a partner's client; ``lock`` locks its row. Raises ``NotFound``."""
    statement = select(ClientChange).where(ClientChange.partner_id == partner_id, ClientChange.id == change_id)
    change = await tx.scalar(statement.with_for_update() if lock else statement)
    if change is None:
        raise NotFound
    return change


async def list_changes(
    tx: Transaction, partner_id: UUID, query: ClientChangesQuery
) -> tuple[list[ClientChange], str | None]:
    """Return a page of changes of a partner's clients, oldest first, and the cursor of the next page."""
    conditions = matching(ClientChange, query.filters())
    statement = select(ClientChange).where(ClientChange.partner_id == partner_id, *conditions)
    name = f"client-changes {partner_id}"
    items, cursor = await fetch_page(tx, statement, ClientChange.id, query, list_name=name)
    return list(items), cursor


async def end_change(tx: Transaction, change: ClientChange, outcome: str, client_id: UUID) -> None:
    """Record the outcome of a change and the client that decided it, and drop the hash of its secret."""
    change.outcome, change.settled_by, change.settled_at = outcome, client_id, datetime.now(UTC)
    change.secret_hash = None
    await tx.flush()
    await tx.refresh(change)


async def save(tx: Transaction, row: Partner | Client) -> None:
    """Write a changed partner or client with its next version. Raises ``NameTaken``."""
    row.version += 1
    row.updated_at = datetime.now(UTC)
    await _flush(tx, row)


async def token_revocations(tx: Transaction) -> dict[UUID, datetime]:
    """Return the time of each client's last token revocation, if tokens from before may not have expired."""
    is_recent = Client.tokens_not_before > func.now() - REVOCATIONS_KEPT
    found = await tx.execute(select(Client.id, Client.tokens_not_before).where(is_recent))
    return {row.id: row.tokens_not_before for row in found}


# not revoked, and not replaced so long ago that nothing it signed is still valid
TRUSTED = and_(
    SigningKey.revoked_at.is_(None),
    or_(SigningKey.retired_at.is_(None), SigningKey.retired_at > func.now() - KEY_OVERLAP),
)


async def public_keys(tx: Transaction) -> KeySet:
    """Return the public halves of the trusted signing keys, newest first."""
    return await _public_halves(tx, TRUSTED)


async def published_keys(tx: Transaction) -> KeySet:
    """Return ``public_keys``, and the retired ones whose certificates may still be valid."""
    is_needed = and_(SigningKey.revoked_at.is_(None), SigningKey.published_until > NOW)
    return await _public_halves(tx, or_(TRUSTED, is_needed))


async def publish_key_until(tx: Transaction, kid: str, until: datetime) -> None:
    """Keep a key published until then, also when it is retired, for who verifies what it signed."""
    is_shorter = or_(SigningKey.published_until.is_(None), SigningKey.published_until < until)
    longer = update(SigningKey).where(SigningKey.kid == kid, is_shorter)
    await tx.execute(longer.values(published_until=until + PUBLISHED_STEP))


async def every_public_key(tx: Transaction) -> KeySet:
    """Return the public halves of all signing keys, also revoked and retired ones, to verify old signatures."""
    return await _public_halves(tx, true())


async def revoked_keys(tx: Transaction) -> frozenset[str]:
    """Return the ids of the revoked signing keys."""
    return frozenset(await tx.scalars(select(SigningKey.kid).where(SigningKey.revoked_at.is_not(None))))


async def _public_halves(tx: Transaction, condition: ColumnElement[bool]) -> KeySet:
    return KeySet([signatures.public_half(key) for key in await _keys(tx, condition)])


async def signing_key(tx: Transaction) -> Key:
    """Return the key pair that signs: the newest one that verifiers had time to fetch.

    Call ``ensure_signing_key`` before.
    """
    is_known = SigningKey.created_at <= func.now() - PUBLISHED_BEFORE_SIGNING
    return (await _keys(tx, TRUSTED, is_known.desc()))[0]


async def _keys(tx: Transaction, condition: ColumnElement[bool], *first: UnaryExpression[bool]) -> list[Key]:
    ordered = select(SigningKey.sealed_jwk).where(condition).order_by(*first)
    newest_first = ordered.order_by(SigningKey.created_at.desc(), SigningKey.kid)
    sealed = await tx.scalars(newest_first)
    return [JWKRegistry.import_key(json.loads(tx.keyring.unseal_text(SEALED_JWK, each))) for each in sealed]


async def ensure_signing_key(tx: Transaction, algorithm: SigningAlgorithm = ALGORITHM) -> None:
    """Add the first key pair, or rotate to one of another algorithm; concurrent callers wait for one another."""
    await tx.execute(text("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE"))
    current = await _keys(tx, SigningKey.retired_at.is_(None))
    if not any(signatures.algorithm_of(key) == algorithm for key in current):
        await rotate_signing_key(tx, algorithm)


async def rotate_signing_key(tx: Transaction, algorithm: SigningAlgorithm = ALGORITHM) -> str:
    """Add a key pair, used after ten seconds, and return its id; the previous key stays published for a week."""
    await tx.execute(text("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE"))
    await tx.execute(update(SigningKey).where(SigningKey.retired_at.is_(None)).values(retired_at=func.now()))
    return await _add_key(tx, algorithm)


async def revoke_signing_key(tx: Transaction, kid: str, algorithm: SigningAlgorithm = ALGORITHM) -> str:
    """Revoke a signing key and return the id of the one that signs from now on, a new one if none is left.

    Raises ``NotFound``.
    """
    await tx.execute(text("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE"))
    ended = {
        name: func.coalesce(getattr(SigningKey, name), func.now(), type_=INSTANT)
        for name in ("retired_at", "revoked_at")
    }
    found = await tx.scalar(update(SigningKey).where(SigningKey.kid == kid).values(ended).returning(SigningKey.kid))
    if found is None:
        raise NotFound(f"There is no signing key {kid}. /.well-known/jwks.json lists those that are trusted.")
    is_current = SigningKey.retired_at.is_(None)
    if await tx.scalar(select(SigningKey.kid).where(is_current)) is None:
        await _add_key(tx, algorithm)
    # no other key may sign, so this one is used before verifiers had time to fetch it
    long_ago = func.least(SigningKey.created_at, func.now() - PUBLISHED_BEFORE_SIGNING, type_=INSTANT)
    signing = update(SigningKey).where(is_current).values(created_at=long_ago).returning(SigningKey.kid)
    return str(await tx.scalar(signing))


async def _add_key(tx: Transaction, algorithm: SigningAlgorithm) -> str:
    key = signatures.new_key(algorithm)
    sealed = tx.keyring.seal_text(SEALED_JWK, json.dumps(key.as_dict(private=True)))
    tx.add(SigningKey(kid=key.kid, sealed_jwk=sealed))
    await tx.flush()
    return str(key.kid)
