"""Zstandard compression (RFC 8878) of stored parts, and the ``zstd`` module of this Python version."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["compress", "decompress", "zstd"]
LEVEL = 1  # leaves a sixth of a CSV file; higher levels cost more time than they save in writing


def compress(block: bytes) -> bytes:
    """Compress a block to one frame."""
    return zstd.compress(block, LEVEL)


def decompress(frame: bytes, size: int) -> bytes:
    """Decompress a frame to its block of ``size`` bytes. Raises ``ValueError`` when it is not a frame of that size."""
    decompressor = zstd.ZstdDecompressor()
    try:
        block = decompressor.decompress(frame, size + 1)
    except zstd.ZstdError as error:
        raise ValueError(f"not a frame: {error}") from error
    if len(block) != size:
        raise ValueError(f"not a frame of {size} bytes")
    return block
