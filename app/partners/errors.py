"""Errors of partners and their clients."""

from app.core.errors import Conflict, Forbidden, Invalid


class NameTaken(Conflict):
    """A partner or client of that name exists."""

    code = "name_taken"
    title = "The name is taken"
    remedy = "Choose another name, or use the existing partner or client."


class AuthenticatesOtherwise(Conflict):
    """The client does not authenticate by the credential that was to be changed."""

    code = "authenticates_otherwise"
    title = "The client authenticates in another way"
    remedy = (
        "A client limited to private_key_jwt has no secret: remove that limit by PUT .../keys first. "
        "A client of an external issuer has neither a secret nor keys here: create another client."
    )


class LastManager(Conflict):
    """No other client of the partner has ``clients:manage``, so that the partner could manage its clients no more."""

    code = "last_manager"
    title = "The client is the last that manages the partner's clients"
    remedy = "Give clients:manage to another client first, or ask the register's administrators to make the change."


class SecondPersonRequired(Forbidden):
    """The change needs the confirmation of a second person, and the caller is none."""

    code = "second_person_required"
    title = "A second person must confirm the change"
    remedy = (
        "Another person must confirm it: neither its requester nor the person of the changed client. "
        "A client without a person cannot confirm."
    )


class ChangeNotPending(Conflict):
    """The change was confirmed or withdrawn or has lapsed, or its client has changed since the request."""

    code = "change_not_pending"
    title = "The change is no longer pending"
    remedy = "Read its status. If the change is still needed, request it again."


class PrivateKeySent(Invalid):
    """A key set has a private or symmetric key."""

    code = "private_key_sent"
    title = "A private key was sent"
    remedy = "The key is no longer secret: generate a new pair, and send its public half only."


class KeyUnusable(Invalid):
    """A key set has a key that the service cannot verify signatures with."""

    code = "key_unusable"
    title = "A key cannot be used"
    remedy = "Send 1 to 10 public keys, each with a kid of its own: Ed25519, P-256, or RSA of 3072 to 4096 bits."
