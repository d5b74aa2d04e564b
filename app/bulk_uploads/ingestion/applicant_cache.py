"""What an upload's rows say of applicants, as the text that it takes from process to process, and who they are."""

from collections.abc import Sequence

from app.applicants.rules import Particulars
from app.applicants.store import Identity
from app.core.database.batches import column_text, values_of

REMEMBERED = 100_000


def said_of(given: Particulars) -> str:
    """All that a row says of its applicant, as one text."""
    return column_text(given)


def particulars_of(said: str) -> Particulars:
    """What ``said_of`` was made of."""
    return Particulars._make(values_of(said))


class ApplicantCache:
    """The applicants that an upload has just recorded: said again, they need not be looked up again.

    It remembers a fixed number, and of each what was said last.
    """

    def __init__(self) -> None:
        self._known: dict[str, Identity] = {}
        self._said: dict[tuple[str, str], str] = {}

    def recall(self, said: Sequence[str]) -> list[Identity | None]:
        """The applicant of each of these texts, if it was said last, and nothing else is said of the same one now."""
        found = [self._known.get(each) for each in said]
        unknown = (each for each, known in zip(said, found, strict=True) if not known)
        overruled = {self._said.get(particulars_of(each).identity) for each in unknown}
        return [None if each in overruled else known for each, known in zip(said, found, strict=True)]

    def remember(self, said: str, identity: Identity) -> None:
        """Note what was said last of an applicant, and who it is."""
        whose = particulars_of(said).identity
        before = self._said.pop(whose, None)
        if before is None and len(self._said) == REMEMBERED:
            before = self._said.pop(next(iter(self._said)))
        if before is not None:
            del self._known[before]
        self._said[whose] = said
        self._known[said] = identity
