"""Zstandard (RFC 8878) from wherever this Python has it, and blocks of bytes compressed to be kept."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["compress", "decompress", "zstd"]
LEVEL = 1  # of a file of registrations a sixth is left; higher levels cost more time than they save writing


def compress(block: bytes) -> bytes:
    """A block as one frame."""
    return zstd.compress(block, LEVEL)


def decompress(frame: bytes, size: int) -> bytes:
    """The block of ``size`` bytes that a frame was made of. Raises ``ValueError`` for any other."""
    decompressor = zstd.ZstdDecompressor()
    try:
        block = decompressor.decompress(frame, size + 1)
    except zstd.ZstdError as broken:
        raise ValueError(f"not a frame: {broken}") from broken
    if len(block) != size:
        raise ValueError(f"not a frame of {size} bytes")
    return block
