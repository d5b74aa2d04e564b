"""The cache of applicants finds only the latest particulars of an applicant."""

from uuid import uuid4

import pytest

from app.applicants.merging import CLEARED
from app.applicants.rules import Particulars
from app.applicants.store import Identity
from app.bulk_uploads.ingestion import applicant_cache
from app.bulk_uploads.ingestion.applicant_cache import ApplicantCache, decode_particulars, encode_particulars


def company(number: int, name: str = "Nayab") -> Particulars:
    return Particulars("company", name, f"{number:07}-1", None, "a@example.pk", None, None, None)


def filled(*added: Particulars) -> tuple[ApplicantCache, dict[str, Identity]]:
    known = {encode_particulars(each): Identity(uuid4(), each.kind, "".join(each.identity)) for each in added}
    cache = ApplicantCache()
    for text, identity in known.items():
        cache.add(text, identity)
    return cache, known


def test_encoded_particulars_decode_to_the_same() -> None:
    assert decode_particulars(encode_particulars(company(1))) == company(1)


def test_the_same_particulars_are_found_again() -> None:
    cache, known = filled(company(1), company(2))
    assert cache.find([*known, encode_particulars(company(3))]) == [*known.values(), None]


def test_only_the_latest_particulars_of_an_applicant_are_found() -> None:
    cache, known = filled(company(1), company(1, "Nayab Sons"))
    assert cache.find(list(known)) == [None, None]
    assert cache.find([encode_particulars(company(1))]) == [None]
    assert cache.find([encode_particulars(company(1, "Nayab Sons"))]) == [
        known[encode_particulars(company(1, "Nayab Sons"))]
    ]


def test_of_the_whole_a_part_and_the_whole_again_each_is_found_only_right_after_itself() -> None:
    whole = company(1)._replace(mobile="+923001234567", cnic="35202-1111111-1")
    part, removed = whole._replace(mobile=None), whole._replace(cnic=CLEARED)
    cache, _ = filled()
    for given in (whole, part, whole, removed, whole):
        text, identity = encode_particulars(given), Identity(uuid4(), "company", "")
        assert cache.find([text]) == [None]
        cache.add(text, identity)
        assert cache.find([text]) == [identity]


def test_refused_particulars_which_are_never_added_leave_the_accepted_ones_to_be_found() -> None:
    cache, known = filled(company(1))
    (accepted,), refused = known, encode_particulars(company(1, "Nayeb"))
    assert cache.find([accepted, refused]) == [None, None]
    assert cache.find([accepted]) == [known[accepted]]


def test_an_applicant_with_other_particulars_in_the_same_chunk_is_not_found() -> None:
    cache, known = filled(company(1), company(2))
    new = encode_particulars(company(1, "Nayab Sons"))
    for texts in ([new, *known], [*known, new]):
        assert cache.find(texts) == [known[each] if each == encode_particulars(company(2)) else None for each in texts]


def test_the_cache_has_a_fixed_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applicant_cache, "MAX_APPLICANTS", 3)
    cache, known = filled(*(company(number) for number in range(5)))
    assert cache.find(list(known)) == [None, None, *list(known.values())[2:]]
    cache.add(encode_particulars(company(4, "Nayab Sons")), list(known.values())[4])
    assert cache.find([encode_particulars(company(number)) for number in (2, 3)]) == list(known.values())[2:4]
