"""A stored block decompresses to its content, or is refused."""

import pytest
from backports import zstd

from app.bulk_uploads.receiving.compression import compress, decompress


@pytest.mark.parametrize("block", [b"", b"x", b"reference,track\n" * 65_536], ids=["none", "one byte", "a part"])
def test_a_compressed_block_decompresses_to_itself(block: bytes) -> None:
    assert decompress(compress(block), len(block)) == block


@pytest.mark.parametrize("size", [0, 999, 1_001])
def test_a_frame_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"not a frame of {size} bytes"):
        decompress(compress(bytes(1_000)), size)


@pytest.mark.parametrize("frame", [b"", b"reference,track\n", zstd.compress(b"x" * 100)[:-2]])
def test_bytes_that_are_not_a_frame_are_refused(frame: bytes) -> None:
    with pytest.raises(ValueError, match="not a frame"):
        decompress(frame, 100)
