"""JSON that would take the parser long is refused by its bytes; valid bodies are not."""

import json
import time
from uuid import uuid4

import pytest

from app.core.errors import Invalid
from app.core.http.json_limits import MAX_DEPTH, MAX_VALUES, check_json


@pytest.mark.parametrize(
    "body",
    [
        b"[[],[]," * 600_000,
        b"[" * 4_000_000,
        b'{"a":' * 800_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"text":"[[[\\"]]]",' * (MAX_DEPTH + 1),
        b"[" + b"0," * MAX_VALUES + b"0]",
        b"[" * 40 + b'"' * 4_000_000,
        b"[" * 40 + b'"' + b"\\\\" * 2_000_000,
    ],
    ids=[
        "wide",
        "deep",
        "deep objects",
        "a level too deep",
        "deep behind texts",
        "a value too many",
        "quotes",
        "escapes",
    ],
)
def test_json_too_wide_or_too_deep_is_refused_at_once(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(Invalid):
        check_json(body)
    assert time.process_time() - began < 0.5  # parsing the first took a second and more


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"]" * 100,
        b'{"a": "' + b"[" * 2_000 + b'"}',
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
        b"[" + b",".join([b"[]"] * 20_000) + b"]",
        json.dumps({"note": '[,{\\"' * 500, "selection": {"registration_ids": [str(uuid4())] * 50_000}}).encode(),
        json.dumps({"text": '\\"[' * 600}).encode(),
    ],
    ids=["nothing", "no JSON", "closing", "brackets in a text", "deep", "wide", "the largest", "escaped quotes"],
)
def test_what_an_operation_may_take_passes(body: bytes) -> None:
    check_json(body)
