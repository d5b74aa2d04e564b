"""The form of a CNIC, the number that the state gives a person, wherever it is looked for."""

import re

CNIC = re.compile(r"[0-9]{5}-[0-9]{7}-[0-9]")
_WITHIN = re.compile(rf"(?<![0-9]){CNIC.pattern}(?![0-9])")


def holds_cnic(text: str) -> bool:
    """Whether something in ``text`` has the form of a CNIC."""
    return text.count("-") > 1 and _WITHIN.search(text) is not None
