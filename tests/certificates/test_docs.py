"""The program of docs/certificates.md verifies certificates as it is shown."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from joserfc.errors import JoseError

from tests.support import cases, certificates
from tests.support.service import Caller

PAGE = Path(__file__).parents[2] / "docs" / "certificates.md"
GROUNDS: dict[str, Any] = {"reason_codes": ["other"], "note": "A note", "legal_basis": "Section 5"}


async def test_the_program_tells_the_status_of_each_certificate(pseb: Caller, officer: Caller, url: str) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    program: dict[str, Any] = {}
    exec(source.replace("https://register.example.pk", url), program)
    made = [await cases.approved(pseb, officer) for _ in range(2)]
    valid, suspended = [await certificates.signed(pseb, case) for case in made]
    assert (await cases.decide(officer, made[1], "suspend", **GROUNDS)).status_code == 201
    assert [await asyncio.to_thread(program["status"], each) for each in (valid, suspended)] == [0, 2]
    header, payload, _ = valid.split(".")
    with pytest.raises(JoseError):
        await asyncio.to_thread(program["status"], f"{header}.{payload}.{suspended.split('.')[2]}")


async def test_the_claims_of_the_page_are_those_of_a_certificate(pseb: Caller, officer: Caller) -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    claims = certificates.claims_of(await certificates.signed(pseb, await cases.approved(pseb, officer)))
    assert re.findall(r'^  "(\w+)":', shown, re.MULTILINE) == list(claims)
