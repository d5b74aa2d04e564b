"""A packed body is unpacked as it comes, to its very end, and only so far."""

import gzip
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from app.bulk_uploads.receiving.content_encoding import ALWAYS_ALLOWED, LARGEST_RATIO, PIECE_BYTES, Unpacker
from app.core.errors import EncodingMalformed, PayloadTooLarge, UnsupportedEncoding

MIB = 1024 * 1024
PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
packings = pytest.mark.parametrize("encoding", PACK)


def cut(body: bytes, at: Sequence[int]) -> list[bytes]:
    places = [0, *sorted(each % (len(body) + 1) for each in at), len(body)]
    return [body[begin:end] for begin, end in pairwise(places)]


def unpacked(encoding: str | None, chunks: Sequence[bytes], largest: int = 64 * MIB) -> bytes:
    unpacker = Unpacker(encoding, largest)
    pieces = [piece for chunk in chunks for piece in unpacker.unpack(chunk)]
    unpacker.end()
    return b"".join(pieces)


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "gzip,identity", "aes128gcm", "gzîp", ","])
def test_any_other_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedEncoding, match="gzip, zstd"):
        Unpacker(encoding, MIB)


def stopped(unpacker: Unpacker, body: bytes) -> tuple[int, str]:
    """How much a body gave until it was refused, and why."""
    gave = 0
    try:
        for piece in unpacker.unpack(body):
            assert len(piece) <= PIECE_BYTES
            gave += len(piece)
    except PayloadTooLarge as refused:
        return gave, refused.detail
    raise AssertionError("it was not refused")


@packings
def test_a_bomb_is_stopped_at_the_limit_having_given_no_more(encoding: str) -> None:
    gave, why = stopped(Unpacker(encoding, 2 * MIB), PACK[encoding](bytes(32 * MIB)))
    assert gave <= 2 * MIB
    assert "limit" in why


@packings
def test_what_unpacks_to_many_times_its_size_is_stopped_well_below_the_limit(encoding: str) -> None:
    bomb = PACK[encoding](bytes(32 * MIB))
    gave, why = stopped(Unpacker(encoding, 1024 * MIB), bomb)
    assert gave <= max(ALWAYS_ALLOWED, LARGEST_RATIO * len(bomb))
    assert "times its size" in why


def test_a_zstd_frame_that_asks_for_a_large_window_is_refused() -> None:
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    body = packer.compress(bytes(MIB)) + packer.flush()
    with pytest.raises(EncodingMalformed):
        unpacked("zstd", [body])


@packings
def test_a_body_that_is_cut_short_anywhere_is_refused(encoding: str) -> None:
    whole = PACK[encoding](b"reference,track\n" * 50)
    for end in range(1, len(whole)):
        with pytest.raises(EncodingMalformed):
            unpacked(encoding, [whole[:end]])


@packings
def test_what_is_not_packed_or_followed_by_something_else_is_refused(encoding: str) -> None:
    for body in (b"reference,track\n", PACK[encoding](b"a") + b"and more"):
        with pytest.raises(EncodingMalformed):
            unpacked(encoding, [body])


def test_a_checksum_that_does_not_fit_is_refused() -> None:
    altered = bytearray(gzip.compress(b"reference,track\n"))
    altered[-5] ^= 1
    with pytest.raises(EncodingMalformed):
        unpacked("gzip", [bytes(altered)])


def test_a_body_that_is_not_packed_comes_as_it_is() -> None:
    for encoding in (None, "", "identity", "Identity"):
        assert unpacked(encoding, [b"one", b"", b"two"]) == b"onetwo"


def test_the_name_of_an_encoding_may_be_in_capitals_or_the_old_one() -> None:
    for encoding in ("GZIP", " gzip ", "x-gzip"):
        assert unpacked(encoding, [gzip.compress(b"a")]) == b"a"


@given(
    texts=st.lists(st.binary(max_size=300) | st.just(bytes(200_000)), max_size=4),
    at=st.lists(st.integers(0, 10_000), max_size=6),
    encoding=st.sampled_from(sorted(PACK)),
)
def test_members_that_follow_one_another_are_unpacked_however_they_are_cut(
    texts: list[bytes], at: list[int], encoding: str
) -> None:
    body = b"".join(PACK[encoding](each) for each in texts)
    assert unpacked(encoding, cut(body, at)) == b"".join(texts)
