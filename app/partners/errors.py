"""What can go wrong with partners and their clients."""

from app.core.errors import Conflict, Forbidden, Invalid


class NameTaken(Conflict):
    """A partner or client of that name is there already."""

    code = "name_taken"
    title = "The name is taken"
    mend = "Choose another name, or use the one that is there."


class AuthenticatesOtherwise(Conflict):
    """The client does not prove itself by what was to be changed."""

    code = "authenticates_otherwise"
    title = "The client authenticates in another way"
    mend = (
        "A client held to private_key_jwt has no secret: lift that by PUT .../keys first. "
        "A client of an external issuer has neither secret nor keys here: make a client of its own."
    )


class SecondPersonRequired(Forbidden):
    """The change takes effect when a second person confirms it, and the caller is none."""

    code = "second_person_required"
    title = "A second person must confirm the change"
    mend = (
        "Have it confirmed by another officer: neither who asked for it nor the person of the client that it changes. "
        "A client without a person confirms nothing."
    )


class ChangeNotPending(Conflict):
    """The change was confirmed, withdrawn or has lapsed, or the client has changed since it was asked for."""

    code = "change_not_pending"
    title = "The change is not pending any more"
    mend = "Read it: status says what became of it. If it is still wanted, ask for it again."


class PrivateKeySent(Invalid):
    """A key set holds a private or symmetric key."""

    code = "private_key_sent"
    title = "A private key was sent"
    mend = "The key is no longer a secret: make a new pair, and send its public half only."


class KeyUnusable(Invalid):
    """A key set holds a key that the service does not check signatures with."""

    code = "key_unusable"
    title = "A key cannot be used here"
    mend = "Send 1 to 10 public keys, each with a kid of its own: Ed25519, P-256, or RSA of 3072 to 4096 bits."
