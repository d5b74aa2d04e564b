"""Every SQL statement about partners, clients and signing keys."""

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from joserfc.jwk import Key, KeySet, OKPKey
from sqlalchemy import ColumnElement, UnaryExpression, and_, delete, func, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from app.core.auth.bearer import ALGORITHM
from app.core.database.base import INSTANT
from app.core.database.batches import any_of
from app.core.database.pagination import PageQuery, fetch_page
from app.core.database.transaction import Transaction
from app.core.errors import NotFound
from app.partners.change_schemas import ClientChangesQuery
from app.partners.errors import NameTaken
from app.partners.models import Client, ClientChange, Partner, SigningKey, UsedAssertion
from app.partners.persons import ClientUser, ClientUsers

SEALED_JWK = "signing_keys.sealed_jwk"
# longer than a manifest lasts, and than anyone should keep keys without asking again
KEY_OVERLAP = timedelta(days=7)
# longer than our own processes go without fetching the keys again when they meet an unknown one
PUBLISHED_BEFORE_SIGNING = timedelta(seconds=10)
# longer than an assertion is taken after its end, and than clocks differ
USED_ASSERTIONS_KEPT = timedelta(minutes=5)
# longer than any token lasts (TOKEN_SECONDS is at most an hour): what was called back before has expired
CALLED_BACK_KEPT = timedelta(hours=2)


async def add(tx: Transaction, row: Partner | Client) -> None:
    """Insert a partner or a client. Raises ``NameTaken``."""
    tx.add(row)
    try:
        await tx.flush()
    except IntegrityError as taken:
        raise NameTaken(f"{row.name!r} is taken.") from taken
    await tx.refresh(row)


async def get_partner(tx: Transaction, partner_id: UUID) -> Partner:
    """One partner. Raises ``NotFound``."""
    partner = await tx.get(Partner, partner_id)
    if partner is None:
        raise NotFound
    return partner


async def find_partner(tx: Transaction, name: str) -> Partner | None:
    """The partner of that name, if any."""
    partner: Partner | None = await tx.scalar(select(Partner).where(Partner.name == name))
    return partner


async def list_partners(tx: Transaction, query: PageQuery) -> tuple[list[Partner], str | None]:
    """A page of partners."""
    items, cursor = await fetch_page(tx, select(Partner), Partner.id, query, list_name="partners")
    return list(items), cursor


async def get_client(tx: Transaction, partner_id: UUID, client_id: UUID, *, lock: bool = False) -> Client:
    """One client of a partner, locked for a change when ``lock``. Raises ``NotFound``."""
    statement = select(Client).where(Client.partner_id == partner_id, Client.id == client_id)
    client = await tx.scalar(statement.with_for_update(of=Client) if lock else statement)
    if client is None:
        raise NotFound
    return client


async def find_client(tx: Transaction, client_id: str) -> Client | None:
    """The client that a token request names, if any."""
    client: Client | None = await tx.scalar(select(Client).where(Client.client_id == client_id))
    return client


async def find_clients(tx: Transaction, client_ids: Collection[str]) -> Sequence[Client]:
    """The clients of these ids that there are."""
    return (await tx.scalars(select(Client).where(Client.client_id.in_(client_ids)))).all()


async def find_external(tx: Transaction, partner: str, issuer: str, subject: str) -> Client | None:
    """The client that stands for a person of an external issuer, if that person was seen before."""
    client: Client | None = await tx.scalar(
        select(Client)
        .join(Partner)
        .where(Partner.name == partner, Client.external_issuer == issuer, Client.external_subject == subject)
    )
    return client


async def add_external(tx: Transaction, partner_id: UUID, name: str, issuer: str, subject: str) -> UUID | None:
    """Insert the client that stands for a person of an external issuer; its id, or None when it was there."""
    person = {"partner_id": partner_id, "external_issuer": issuer, "external_subject": subject}
    added: UUID | None = await tx.scalar(
        insert(Client)
        .values(**person, name=name, client_id=name, scopes=[])
        .on_conflict_do_nothing()  # the name is the person's own too: of two at once, either may be met first
        .returning(Client.id)
    )
    return added


async def use_assertion(tx: Transaction, client_id: UUID, jti: str, expires_at: datetime) -> bool:
    """Use up a client's assertion; False when it was used before, in whichever process."""
    used = insert(UsedAssertion).values(client_id=client_id, jti=jti, expires_at=expires_at)
    return await tx.scalar(used.on_conflict_do_nothing().returning(UsedAssertion.jti)) is not None


async def forget_used_assertions(tx: Transaction) -> None:
    """Drop the assertions that have expired."""
    await tx.execute(delete(UsedAssertion).where(UsedAssertion.expires_at < func.now() - USED_ASSERTIONS_KEPT))


async def list_clients(tx: Transaction, partner_id: UUID, query: PageQuery) -> tuple[list[Client], str | None]:
    """A page of a partner's clients."""
    statement = select(Client).where(Client.partner_id == partner_id)
    items, cursor = await fetch_page(tx, statement, Client.id, query, list_name=f"clients {partner_id}")
    return list(items), cursor


async def users(tx: Transaction, caller: UUID, others: Collection[UUID]) -> ClientUsers:
    """The users of the caller's client and of others."""
    person = func.coalesce(Client.person, Client.external_subject)
    statement = select(Client.id, Partner.kind, person, Client.disabled_at.is_not(None)).join(Partner)
    found = await tx.execute(statement.where(any_of(Client.id, {caller, *others})))
    return ClientUsers(caller, (ClientUser(*row) for row in found))


async def add_change(tx: Transaction, change: ClientChange) -> ClientChange:
    """Insert a change that waits for a second person."""
    tx.add(change)
    await tx.flush()
    await tx.refresh(change)
    return change


async def get_change(tx: Transaction, partner_id: UUID, change_id: UUID, *, lock: bool = False) -> ClientChange:
    """One change of a partner's client, locked when ``lock``. Raises ``NotFound``."""
    statement = select(ClientChange).where(ClientChange.partner_id == partner_id, ClientChange.id == change_id)
    change = await tx.scalar(statement.with_for_update() if lock else statement)
    if change is None:
        raise NotFound
    return change


async def list_changes(
    tx: Transaction, partner_id: UUID, query: ClientChangesQuery
) -> tuple[list[ClientChange], str | None]:
    """A page of the changes of a partner's clients, oldest first."""
    statement = select(ClientChange).where(ClientChange.partner_id == partner_id)
    if query.status is not None:
        statement = statement.where(ClientChange.status == query.status)
    name = f"client-changes {partner_id}"
    items, cursor = await fetch_page(tx, statement, ClientChange.id, query, list_name=name)
    return list(items), cursor


async def settle_change(tx: Transaction, change: ClientChange, outcome: str, client_id: UUID) -> None:
    """Note how a change ended and who settled it; the hash of its secret is not kept."""
    change.outcome, change.settled_by, change.settled_at = outcome, client_id, datetime.now(UTC)
    change.secret_hash = None
    await tx.flush()
    await tx.refresh(change)


async def changed(tx: Transaction, client: Client) -> None:
    """Write a changed client as its next version."""
    client.version += 1
    client.updated_at = datetime.now(UTC)
    await tx.flush()


async def called_back(tx: Transaction) -> dict[UUID, datetime]:
    """The clients whose tokens were called back and may not have expired yet, and when that was."""
    lately = Client.tokens_not_before > func.now() - CALLED_BACK_KEPT
    found = await tx.execute(select(Client.id, Client.tokens_not_before).where(lately))
    return {row.id: row.tokens_not_before for row in found}


# Neither revoked, nor replaced so long ago that nothing which it signed is in use.
TRUSTED = and_(
    SigningKey.revoked_at.is_(None),
    or_(SigningKey.retired_at.is_(None), SigningKey.retired_at > func.now() - KEY_OVERLAP),
)


async def public_keys(tx: Transaction) -> KeySet:
    """The public halves of the signing key and of those replaced lately, for whoever checks a signature."""
    return await _public_halves(tx, TRUSTED)


async def every_public_key(tx: Transaction) -> KeySet:
    """The public halves of all signing keys ever, revoked ones too, for whoever checks what was signed long ago."""
    return await _public_halves(tx, true())


async def revoked_keys(tx: Transaction) -> frozenset[str]:
    """The ids of the signing keys that were revoked."""
    return frozenset(await tx.scalars(select(SigningKey.kid).where(SigningKey.revoked_at.is_not(None))))


async def _public_halves(tx: Transaction, condition: ColumnElement[bool]) -> KeySet:
    keys: list[Key] = [OKPKey.import_key(key.as_dict(private=False)) for key in await _keys(tx, condition)]
    return KeySet(keys)


async def signing_key(tx: Transaction) -> OKPKey:
    """The key pair that signs: the newest that everyone had the time to fetch.

    ``add_first_signing_key`` has been called before.
    """
    known = SigningKey.created_at <= func.now() - PUBLISHED_BEFORE_SIGNING
    return (await _keys(tx, TRUSTED, known.desc()))[0]


async def _keys(tx: Transaction, condition: ColumnElement[bool], *first: UnaryExpression[bool]) -> list[OKPKey]:
    ordered = select(SigningKey.sealed_jwk).where(condition).order_by(*first)
    newest_first = ordered.order_by(SigningKey.created_at.desc(), SigningKey.kid)
    sealed = await tx.scalars(newest_first)
    return [OKPKey.import_key(json.loads(tx.keyring.unseal_text(SEALED_JWK, each))) for each in sealed]


async def add_first_signing_key(tx: Transaction) -> None:
    """Make the first key pair, once, however many call."""
    await tx.execute(text("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE"))
    if await tx.scalar(select(SigningKey.kid).limit(1)) is None:
        await _add_key(tx)


async def rotate_signing_key(tx: Transaction) -> str:
    """Publish a new key pair, sign with it from ten seconds on, and give its id; the old one stays published a week."""
    await tx.execute(text("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE"))
    await tx.execute(update(SigningKey).where(SigningKey.retired_at.is_(None)).values(retired_at=func.now()))
    return await _add_key(tx)


async def revoke_signing_key(tx: Transaction, kid: str) -> str:
    """Trust a signing key no more, and give the id of the one that signs from now on, which is made if need be.

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
    in_force = SigningKey.retired_at.is_(None)
    if await tx.scalar(select(SigningKey.kid).where(in_force)) is None:
        await _add_key(tx)
    # nothing else may sign meanwhile, so it does not wait until everyone has had the time to fetch it
    at_once = func.least(SigningKey.created_at, func.now() - PUBLISHED_BEFORE_SIGNING, type_=INSTANT)
    signing = update(SigningKey).where(in_force).values(created_at=at_once).returning(SigningKey.kid)
    return str(await tx.scalar(signing))


async def _add_key(tx: Transaction) -> str:
    key = OKPKey.generate_key("Ed25519", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
    sealed = tx.keyring.seal_text(SEALED_JWK, json.dumps(key.as_dict(private=True)))
    tx.add(SigningKey(kid=key.kid, sealed_jwk=sealed))
    await tx.flush()
    return str(key.kid)
