"""Cache of the applicants that an upload has recorded, and the text form in which processes exchange applicants."""

from collections.abc import Sequence

from app.applicants.rules import Particulars
from app.applicants.store import Identity
from app.core.database.batches import column_text, values_of

MAX_APPLICANTS = 100_000


def encode_particulars(particulars: Particulars) -> str:
    """Encode an applicant's particulars as one text."""
    return column_text(particulars)


def decode_particulars(text: str) -> Particulars:
    """Decode the result of ``encode_particulars``."""
    return Particulars._make(values_of(text))


class ApplicantCache:
    """Applicants that earlier chunks of an upload have recorded, by the encoded particulars accepted last.

    To record these again would change nothing and contradict nothing: what they leave out stays, what they remove is
    gone, and their numbers stay the applicant's. Earlier particulars might bring back what later ones changed, so that
    they are not found; refused ones must not be added.

    It holds at most ``MAX_APPLICANTS``, and drops those that were added first.
    """

    def __init__(self) -> None:
        self._identities: dict[str, Identity] = {}
        self._latest: dict[tuple[str, str], str] = {}

    def find(self, texts: Sequence[str]) -> list[Identity | None]:
        """Return the applicant of each of these distinct texts, or None when it has to be recorded.

        That is so for particulars other than the latest, and for all particulars of an applicant of which ``texts``
        hold others too: their order then decides.
        """
        found = [self._identities.get(each) for each in texts]
        unknown = (each for each, identity in zip(texts, found, strict=True) if not identity)
        replaced = {self._latest.get(decode_particulars(each).identity) for each in unknown}
        return [None if each in replaced else identity for each, identity in zip(texts, found, strict=True)]

    def add(self, text: str, identity: Identity) -> None:
        """Add the latest accepted particulars of an applicant."""
        key = decode_particulars(text).identity
        previous = self._latest.pop(key, None)
        if previous is None and len(self._latest) == MAX_APPLICANTS:
            previous = self._latest.pop(next(iter(self._latest)))
        if previous is not None:
            del self._identities[previous]
        self._latest[key] = text
        self._identities[text] = identity
