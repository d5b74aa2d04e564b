"""A compressed body is decompressed as it arrives, to its end, and within limits."""

import gzip
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from app.bulk_uploads.receiving.content_encoding import ALWAYS_ALLOWED_BYTES, MAX_RATIO, PIECE_BYTES, BodyDecompressor
from app.core.errors import EncodingMalformed, PayloadTooLarge, UnsupportedEncoding

MIB = 1024 * 1024
COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
encodings = pytest.mark.parametrize("encoding", COMPRESS)


def split(body: bytes, at: Sequence[int]) -> list[bytes]:
    offsets = [0, *sorted(each % (len(body) + 1) for each in at), len(body)]
    return [body[begin:end] for begin, end in pairwise(offsets)]


def decompress(encoding: str | None, chunks: Sequence[bytes], max_bytes: int = 64 * MIB) -> bytes:
    decompressor = BodyDecompressor(encoding, max_bytes)
    pieces = [piece for chunk in chunks for piece in decompressor.decompress(chunk)]
    decompressor.finish()
    return b"".join(pieces)


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "gzip,identity", "aes128gcm", "gzîp", ","])
def test_any_other_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedEncoding, match="gzip, zstd"):
        BodyDecompressor(encoding, MIB)


def stopped(decompressor: BodyDecompressor, body: bytes) -> tuple[int, str]:
    """Return the size that a body was decompressed to until it was refused, and the reason."""
    size = 0
    try:
        for piece in decompressor.decompress(body):
            assert len(piece) <= PIECE_BYTES
            size += len(piece)
    except PayloadTooLarge as refused:
        return size, refused.detail
    raise AssertionError("it was not refused")


@encodings
def test_a_bomb_is_stopped_at_the_limit(encoding: str) -> None:
    size, detail = stopped(BodyDecompressor(encoding, 2 * MIB), COMPRESS[encoding](bytes(32 * MIB)))
    assert size <= 2 * MIB
    assert "limit" in detail


@encodings
def test_a_body_of_an_extreme_ratio_is_stopped_below_the_limit(encoding: str) -> None:
    bomb = COMPRESS[encoding](bytes(32 * MIB))
    size, detail = stopped(BodyDecompressor(encoding, 1024 * MIB), bomb)
    assert size <= max(ALWAYS_ALLOWED_BYTES, MAX_RATIO * len(bomb))
    assert "times its size" in detail


def test_a_zstd_frame_that_asks_for_a_large_window_is_refused() -> None:
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    body = compressor.compress(bytes(MIB)) + compressor.flush()
    with pytest.raises(EncodingMalformed):
        decompress("zstd", [body])


@encodings
def test_a_body_that_is_cut_short_anywhere_is_refused(encoding: str) -> None:
    whole = COMPRESS[encoding](b"reference,track\n" * 50)
    for end in range(1, len(whole)):
        with pytest.raises(EncodingMalformed):
            decompress(encoding, [whole[:end]])


@encodings
def test_a_body_that_is_not_compressed_or_has_a_trailer_is_refused(encoding: str) -> None:
    for body in (b"reference,track\n", COMPRESS[encoding](b"a") + b"and more"):
        with pytest.raises(EncodingMalformed):
            decompress(encoding, [body])


def test_a_wrong_checksum_is_refused() -> None:
    altered = bytearray(gzip.compress(b"reference,track\n"))
    altered[-5] ^= 1
    with pytest.raises(EncodingMalformed):
        decompress("gzip", [bytes(altered)])


def test_an_uncompressed_body_is_passed_on_unchanged() -> None:
    for encoding in (None, "", "identity", "Identity"):
        assert decompress(encoding, [b"one", b"", b"two"]) == b"onetwo"


def test_the_name_of_an_encoding_is_case_insensitive_and_may_be_the_old_one() -> None:
    for encoding in ("GZIP", " gzip ", "x-gzip"):
        assert decompress(encoding, [gzip.compress(b"a")]) == b"a"


@given(
    texts=st.lists(st.binary(max_size=300) | st.just(bytes(200_000)), max_size=4),
    at=st.lists(st.integers(0, 10_000), max_size=6),
    encoding=st.sampled_from(sorted(COMPRESS)),
)
def test_consecutive_members_are_decompressed_however_they_are_split(
    texts: list[bytes], at: list[int], encoding: str
) -> None:
    body = b"".join(COMPRESS[encoding](each) for each in texts)
    assert decompress(encoding, split(body, at)) == b"".join(texts)
