"""A body that differs from its ``Content-Digest`` is refused."""

import hashlib
from base64 import b64encode

import pytest

from app.bulk_uploads.receiving.content_digest import POINTER, ContentDigest
from app.core.errors import Invalid

BODY = b"reference,track\n"


def digest_of(algorithm: str, body: bytes = BODY) -> str:
    digest = hashlib.new(algorithm.replace("-", ""), body).digest()
    return f"{algorithm}=:{b64encode(digest).decode()}:"


def check(header: str | None) -> None:
    digest = ContentDigest(header)
    digest.update(BODY[:5])
    digest.update(BODY[5:])
    digest.check()


@pytest.mark.parametrize(
    "header",
    ["sha-256", "sha-256=abc", "sha-256=:not base64!:", "sha-256=:YQ==", "sha-256=", "=:YQ==:", "SHA-256=:YQ==:",
     "sha-256=(:YQ==:)", "md5=1", ",", "sha-256=:YQ==:;;", digest_of("sha-256") + ",", "sha-256=:é:"],
)  # fmt: skip
def test_a_header_that_is_not_a_dictionary_of_digests_is_refused_before_the_body_is_read(header: str) -> None:
    with pytest.raises(Invalid) as refused:
        ContentDigest(header)
    assert [(each.pointer, each.code) for each in refused.value.errors] == [(POINTER, "invalid_value")]


@pytest.mark.parametrize(
    "header",
    [
        digest_of("sha-256", b"x"),
        digest_of("sha-512", b"x"),
        "sha-512=:AAAA:",
        f"{digest_of('sha-256')}, {digest_of('sha-512', b'x')}",
        f"{digest_of('sha-256', b'x')}, {digest_of('sha-512')}",
    ],
)
def test_one_wrong_digest_is_enough(header: str) -> None:
    with pytest.raises(Invalid, match="truncated or altered"):
        check(header)


@pytest.mark.parametrize(
    "header",
    [None, "", digest_of("sha-256"), digest_of("sha-512"),
     "unixsum=:MTI=:, md5=:AA==:", f"{digest_of('sha-512')},\t{digest_of('sha-256')};origin=me"],
)  # fmt: skip
def test_a_right_digest_or_one_of_another_algorithm_is_accepted(header: str | None) -> None:
    check(header)
