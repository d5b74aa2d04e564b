"""The persons who use clients, and when two clients count as two people's. Pure functions of values."""

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID


class ClientUser(NamedTuple):
    """The user of a client: its person, if one is named, else the subject that an identity provider gave it."""

    client_id: UUID
    kind: str
    person: str | None
    is_disabled: bool

    @property
    def name(self) -> str:
        """The person in the form in which names are compared: spelling variants of one name are one person."""
        return comparable(self.person)


def comparable(person: str | None) -> str:
    """A person's name without regard to case, spacing and characters that cannot be seen; empty when there is none."""
    visible = "".join(each for each in person or "" if unicodedata.category(each) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", visible).casefold().split())


def are_two_people(one: ClientUser, other: ClientUser) -> bool:
    """Tell whether two clients are certainly used by two people.

    Clients of the regulator that name no person may be one's. An association's client is not an officer's, unless
    both name the same person.
    """
    if one.client_id == other.client_id:
        return False
    if one.name and other.name:
        return one.name != other.name
    return one.kind != other.kind


UNNAMED = (
    "Clients of the regulator that name no person count as one person's. Have the person of each client named: "
    "PATCH /v1/partners/{partner_id}/clients/{client_id}, or `app.cli client person`."
)


class ClientUsers:
    """The users of some clients, seen by one of them, the caller; ``name`` is the caller's own, if one is known."""

    def __init__(self, caller: UUID, users: Iterable[ClientUser]) -> None:
        self._users = {each.client_id: each for each in users}
        me = self._users.get(caller)
        self.name = me.name if me else ""
        others = self._users.values() if me else ()
        self._maybe_own = {caller, *(each.client_id for each in others if me and not are_two_people(me, each))}
        self._surely_own = {caller, *(each.client_id for each in others if me and me.name and each.name == me.name)}

    def own_among(self, client_ids: Iterable[UUID]) -> set[UUID]:
        """Those clients that may be used by the caller's own person. An id that is no client's is nobody's."""
        return self._maybe_own.intersection(client_ids)

    def is_surely_own(self, client_id: UUID) -> bool:
        """Tell whether a client is the caller's, or names the same person."""
        return client_id in self._surely_own

    def is_disabled(self, client_id: UUID) -> bool:
        """Tell whether a client has been disabled."""
        user = self._users.get(client_id)
        return user is not None and user.is_disabled

    def explain(self, own: Iterable[UUID]) -> str:
        """The reason why clients of ``own_among`` count as the caller's, when it is that no person is named."""
        return "" if all(map(self.is_surely_own, own)) else UNNAMED
