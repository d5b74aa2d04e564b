"""The page for associations agrees with the code: columns, codes of choices, options, formats and problems."""

import re
from pathlib import Path

from app.applicants import errors as applicant_errors
from app.bulk_uploads import errors as upload_errors
from app.bulk_uploads.column_guide import GUIDES
from app.bulk_uploads.rules import Encoding
from app.bulk_uploads.schemas import UploadQuery
from app.core.errors import DomainError, Invalid, InvalidValue, MissingField
from app.core.validation import networks
from app.operators import errors as operator_errors
from app.registrations import errors as registration_errors
from app.uploader.source import FORMAT_OF_SUFFIX

PAGE = (Path(__file__).parents[2] / "docs" / "uploads.md").read_text(encoding="utf-8")
OF_A_ROW = (applicant_errors, networks, operator_errors, registration_errors)
TABLE_ROW = re.compile(r"^\| `([a-z_]+)` \|(.+)\|$", re.MULTILINE)


def test_every_code_that_an_upload_can_give_is_explained() -> None:
    modules = {each.__name__ for each in OF_A_ROW}
    known = DomainError.known.values()
    codes = {each.code for each in known if each.__module__ in modules and issubclass(each, Invalid)}
    codes |= {each.code for each in known if each.__module__ == upload_errors.__name__}
    codes |= {MissingField.code, InvalidValue.code}
    assert codes <= {code for code, _ in TABLE_ROW.findall(PAGE)}


def test_the_table_of_columns_is_that_of_the_template() -> None:
    rows = {name: [cell.strip() for cell in cells.split("|")] for name, cells in TABLE_ROW.findall(PAGE)}
    for name, guide in GUIDES.items():
        assert rows[name] == [guide.needed, f"`{guide.example}`", guide.write, guide.taken]


def test_every_choice_option_encoding_and_suffix_is_named() -> None:
    choices = {each.value for guide in GUIDES.values() for each in guide.choices or ()}
    assert {choice for choice in choices if f"`{choice}`" not in PAGE} == set()
    assert {name for name in UploadQuery.model_fields if f"| `{name}=" not in PAGE} == set()
    assert {each.value for each in Encoding if each.value not in PAGE} == set()
    assert {each for each in FORMAT_OF_SUFFIX if f"`{each}`" not in PAGE} <= {".ndjson", ".jsonl"}
