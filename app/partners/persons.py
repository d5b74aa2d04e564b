"""Users of clients, and the comparison of persons for decisions that need two of them. Pure functions."""

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID


class ClientUser(NamedTuple):
    """The user of a client; ``person`` is its person, else the subject of its identity provider."""

    client_id: UUID
    kind: str
    person: str | None
    is_disabled: bool

    @property
    def name(self) -> str:
        """The person's name, normalised for comparison; empty without a person."""
        return normalise_person(self.person)


def normalise_person(person: str | None) -> str:
    """Return a name in NFKC without case, extra spaces and invisible characters; empty for None."""
    visible = "".join(each for each in person or "" if unicodedata.category(each) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", visible).casefold().split())


def are_different_people(one: ClientUser, other: ClientUser) -> bool:
    """True when two clients are certainly used by different people.

    Two clients of the same kind of partner are not when one names no person. Clients of different kinds are, unless
    both name the same person.
    """
    if one.client_id == other.client_id:
        return False
    if one.name and other.name:
        return one.name != other.name
    return one.kind != other.kind


UNNAMED = (
    "Clients of the regulator without a person count as one person. Set the person of each client: "
    "PATCH /v1/partners/{partner_id}/clients/{client_id}, or `app.cli client person`."
)


class ClientUsers:
    """Users of some clients in relation to the caller; ``name`` is the caller's normalised name, or empty."""

    def __init__(self, caller: UUID, users: Iterable[ClientUser]) -> None:
        self._users = {each.client_id: each for each in users}
        me = self._users.get(caller)
        self.name = me.name if me else ""
        others = self._users.values() if me else ()
        self._maybe_own = {caller, *(each.client_id for each in others if me and not are_different_people(me, each))}
        self._surely_own = {caller, *(each.client_id for each in others if me and me.name and each.name == me.name)}

    def possibly_own(self, client_ids: Iterable[UUID]) -> set[UUID]:
        """Return the clients that the caller's person may use. Unknown ids are not among them."""
        return self._maybe_own.intersection(client_ids)

    def is_surely_own(self, client_id: UUID) -> bool:
        """True when a client is the caller's own or names the same person."""
        return client_id in self._surely_own

    def is_disabled(self, client_id: UUID) -> bool:
        """True when a client is disabled."""
        user = self._users.get(client_id)
        return user is not None and user.is_disabled

    def explain(self, own: Iterable[UUID]) -> str:
        """Return ``UNNAMED`` when clients count as the caller's for want of a person, else an empty text."""
        return "" if all(map(self.is_surely_own, own)) else UNNAMED
