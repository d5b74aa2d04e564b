"""Bodies accept clean texts and known fields only, and report all errors at once."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.core.errors import FieldError, Invalid, InvalidValue, MissingField
from app.core.validation.schemas import (
    MAX_ERRORS,
    Body,
    Instant,
    Line100,
    MergePatch,
    Paragraph,
    validate,
)
from tests.support import cases
from tests.support.service import Caller


class Address(Body):
    city: Line100


class Note(Body):
    title: Line100
    text: Paragraph | None = None
    at: Instant | None = None
    labels: tuple[Line100, ...] = ()
    address: Address | None = None

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        if "text" not in given:
            yield MissingField.at("/text", "A text is needed here.")
        if given.get("title") == "twice":
            yield InvalidValue.at("/labels/0", "Not with this title.")


class Change(MergePatch):
    title: Line100 | None = None
    text: Paragraph | None = None


def _errors(**given: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        validate(Note, given)
    return {error.pointer: error.code for error in refused.value.errors}


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x85", "\t", "\r", "\n", "\u2028", "\u2029", "\ud800"])
def test_a_line_holds_no_control_character(character: str) -> None:
    assert _errors(title=f"a{character}b", text="x") == {"/title": "invalid_value"}


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x85", "\t", "\r", "\x0b", "\udfff"])
def test_a_paragraph_holds_no_control_character_but_line_breaks(character: str) -> None:
    assert _errors(title="a", text=f"a{character}b") == {"/text": "invalid_value"}


@pytest.mark.parametrize(
    "text", ["12345-1234567-1", "of 12345-1234567-1.", "x12345-1234567-1x", "a-b-12345-1234567-1-c", "a1234512345671"]
)
def test_a_cnic_in_free_text_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        validate(Note, {"title": text, "text": f"line\n{text}"})
    assert {each.pointer: each.code for each in refused.value.errors} == dict.fromkeys(
        ("/title", "/text"), "invalid_value"
    )
    assert all("the field cnic" in each.detail and "1234567" not in each.detail for each in refused.value.errors)


@pytest.mark.parametrize(
    "text", ["123456-1234567-1", "12345-1234567-12", "1234567-8", "12345-12345678-1", "a--b", "+923001234567"]
)
def test_other_numbers_are_free_to_stand_in_a_text(text: str) -> None:
    assert validate(Note, {"title": text, "text": text}).title == text


def test_all_errors_come_at_once_with_their_places() -> None:
    found = _errors(title="x" * 101, at="yesterday", labels=["fine", "a\x00"], address={"street": 1}, colour="red")
    assert found == {
        "/title": "invalid_value",
        "/at": "invalid_value",
        "/labels/1": "invalid_value",
        "/address/city": "missing_field",
        "/address/street": "invalid_value",
        "/colour": "invalid_value",
        "/text": "missing_field",
    }


def test_an_error_between_fields_does_not_come_twice_for_a_field_that_is_wrong_already() -> None:
    assert _errors(title="twice", text="x", labels=["\x00"]) == {"/labels/0": "invalid_value"}
    with pytest.raises(Invalid) as refused:
        validate(Note, {"title": "twice", "text": "x", "labels": ["\x00"]})
    assert len(refused.value.errors) == 1


@pytest.mark.parametrize("title", [{}, [], {"a": []}, [[]], 7, True, "a" * 101])
def test_what_holds_between_fields_is_judged_without_the_value_that_a_field_refuses(title: object) -> None:
    class Numbered(Note):
        @classmethod
        def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
            if {"one": 1}.get(given["title"]) != given.get("text"):
                yield MissingField.at("/text", "A title that is a number needs no text.")

    with pytest.raises(Invalid) as refused:
        validate(Numbered, {"title": title, "text": "x"})
    assert {error.pointer for error in refused.value.errors} == {"/title", "/text"}


@pytest.mark.parametrize("empty", [None, "", " ", "\u00a0\u3000", "\n"])
def test_an_empty_value_counts_as_an_absent_one(empty: str | None) -> None:
    assert _errors(title=empty, text=empty) == {"/title": "missing_field", "/text": "missing_field"}


def test_an_unknown_field_is_named_by_a_json_pointer() -> None:
    assert _errors(title="a", text="b", **{"a/b~c": 1}) == {"/a~1b~0c": "invalid_value"}


@pytest.mark.parametrize("time", ["2027-01-31T12:00:00", "1999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "x"])
def test_a_time_needs_its_zone_and_a_sensible_century(time: str) -> None:
    assert _errors(title="a", text="b", at=time) == {"/at": "invalid_value"}


@pytest.mark.parametrize(
    ("value", "code"), [(1, "invalid_value"), (True, "invalid_value"), ([], "invalid_value"), ({}, "invalid_value")]
)
def test_a_text_is_never_made_of_something_else(value: object, code: str) -> None:
    assert _errors(title=value, text="x") == {"/title": code}


def test_a_length_counts_characters_after_trimming() -> None:
    assert validate(Note, {"title": f"  {'پ' * 100}  ", "text": "x"}).title == "پ" * 100


@given(st.text())
def test_what_is_taken_is_trimmed_in_nfc_and_stays_the_same_when_sent_again(text: str) -> None:
    try:
        taken = validate(Note, {"title": text[:100], "text": "x"})
    except Invalid:
        return
    assert validate(Note, {"title": taken.title, "text": "x"}) == taken
    assert taken.title == taken.title.strip()


def test_text_is_kept_in_nfc_with_plain_line_breaks() -> None:
    note = validate(Note, {"title": "Cafe\u0301", "text": "one\r\ntwo\u2028three"})
    assert (note.title, note.text) == ("Café", "one\ntwo\u2028three")


def test_a_merge_patch_tells_an_absent_field_from_a_null_one() -> None:
    current = {"title": "a", "text": "b"}
    assert Change.model_validate({}).apply_to(current) == current
    assert Change.model_validate({"text": None}).apply_to(current) == {"title": "a", "text": None}
    assert Change.model_validate({"title": " c "}).apply_to(current) == {"title": "c", "text": "b"}


async def test_a_lone_surrogate_is_refused_wherever_it_stands(pseb: Caller) -> None:
    body = json.dumps(cases.company(legal_name="\ud800", mobile="\udfff"))
    assert "\\ud800" in body
    answer = await pseb.post("/v1/applicants", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert set(cases.codes(answer)) == {"/legal_name", "/mobile"}
    answer = await pseb.post("/v1/applicants", content='{"\\ud800": 1}', headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


async def test_a_body_of_very_many_fields_is_refused_as_a_whole(pseb: Caller) -> None:
    made = (await pseb.post("/v1/applicants", json=cases.company())).json()
    crowd = {f"k{i}": 1 for i in range(50_000)}
    for answer in (
        await pseb.post("/v1/applicants", json=crowd),
        await pseb.patch(f"/v1/applicants/{made['id']}", json=crowd, headers={"If-Match": '"1"'}),
    ):
        assert cases.codes(answer) == {"": "invalid_value"}
        assert "50000 fields" in answer.json()["detail"]


@pytest.mark.parametrize("depth", [500, 990, 5_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ("[", "")])
async def test_a_body_of_any_depth_gets_a_problem(pseb: Caller, depth: int, opening: str, closing: str) -> None:
    for inside in (
        opening * depth + "1" + closing * depth,
        '{"email":' + opening * depth + "1" + closing * depth + "}",
    ):
        answer = await pseb.post("/v1/applicants", content=inside, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert cases.codes(answer)


async def test_a_number_of_very_many_digits_gets_a_problem(pseb: Caller) -> None:
    body = '{"email":' + "9" * 100_000 + "}"
    answer = await pseb.post("/v1/applicants", content=body, headers={"Content-Type": "application/json"})
    assert cases.codes(answer) == {"": "invalid_value"}


def test_of_many_errors_in_a_list_the_first_are_reported() -> None:
    class Listing(Body):
        ids: list[UUID]

    with pytest.raises(ValidationError) as refused:
        Listing.model_validate({"ids": ["x"] * 50_000})
    assert [each["loc"] for each in refused.value.errors()] == [("ids", place) for place in range(MAX_ERRORS)]
