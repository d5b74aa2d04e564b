"""The sample register has the real one's numbers and is reproducible."""

import csv
import io
import json
from bisect import bisect_right
from collections import Counter
from ipaddress import IPv4Address, IPv4Network

import pytest

from app.bulk_uploads.rules import COLUMNS
from app.demo.sample import OPERATORS, UPLOADS, Sample

Rows = dict[str, list[dict[str, str]]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    read = {
        upload.name: list(csv.DictReader(io.StringIO(body.decode(), newline=""))) for upload, body in Sample().files()
    }
    assert all(tuple(each[0]) == COLUMNS for each in read.values())
    return read


def address(row: dict[str, str]) -> IPv4Address:
    return IPv4Address(row["networks"].removesuffix("/32"))


def test_it_has_as_many_addresses_and_applicants_as_were_reported(rows: Rows) -> None:
    number = {"companies": "ntn", "freelancers": "cnic", "pasha": "ntn"}
    found = {name: (len(each), len({row[number[name]] for row in each})) for name, each in rows.items()}
    assert found == {"companies": (19_840, 1_286), "freelancers": (180, 136), "pasha": (417, 60)}
    assert sum(addresses for addresses, _ in found.values()) == 20_437
    assert sum(applicants for _, applicants in found.values()) == 1_482
    assert [(upload.name, upload.partner) for upload in UPLOADS] == [
        ("companies", "pseb"),
        ("freelancers", "pseb"),
        ("pasha", "pasha"),
    ]


def test_few_applicants_have_many_addresses_and_many_have_few(rows: Rows) -> None:
    held = sorted(Counter(row["ntn"] for row in rows["companies"]).values())
    assert held[0] >= 1
    assert held[-1] > 10 * held[len(held) // 2]


def test_addresses_and_references_are_unique(rows: Rows) -> None:
    every = [row for each in rows.values() for row in each]
    assert len({address(row) for row in every}) == len(every)
    assert len({row["reference"] for row in every}) == len(every)


def test_each_address_lies_in_a_prefix_that_the_rows_operator_announces(rows: Rows) -> None:
    listed = json.loads(OPERATORS.read_text())["operators"]
    blocks = sorted((IPv4Network(prefix), each["code"]) for each in listed for prefix in each["prefixes"])
    firsts = [block.network_address for block, _ in blocks]
    for each in rows.values():
        for row in each:
            block, code = blocks[bisect_right(firsts, address(row)) - 1]
            assert address(row) in block
            assert row["operator"] == code


def test_no_identity_number_is_a_real_one(rows: Rows) -> None:
    assert all(row["cnic"][:1] in ("", "9") for each in rows.values() for row in each)


def test_the_same_seed_makes_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = ([body for _, body in Sample(seed).files()] for seed in (2024, 2024, 7))
    assert first == again
    assert first != other
