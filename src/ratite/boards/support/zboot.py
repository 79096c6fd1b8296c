"""Kernels that Linux packs into an EFI program which unpacks them (Linux, drivers/firmware/efi/libstub/zboot-header.S)."""

from __future__ import annotations

import struct

from ratite.boards.support.loader import unzip
from ratite.errors import HostError, ImageError

_HEADER = struct.Struct("<2s2x4sII8x32s")    # MZ, zimg, offset and size of the content, compression


def unwrap(path: str, data: bytes, limit: int) -> bytes:
    """The kernel inside, or `data` itself where that is no such program. Raises ImageError when it is damaged, expands
    beyond `limit` bytes or is compressed in a way that is not known.
    """
    if len(data) < _HEADER.size:
        return data
    mark, kind, offset, size, name = _HEADER.unpack_from(data)
    if (mark, kind) != (b"MZ", b"zimg"):
        return data
    content = data[offset : offset + size]
    if len(content) < size:
        raise ImageError(f"kernel '{path}' is not complete")
    compression = name.partition(b"\0")[0].decode("ascii", "replace")
    if compression == "gzip":
        return unzip("kernel", path, content, limit)
    if compression == "zstd":
        return _unpack_zstd(path, content, limit)
    raise ImageError(f"kernel '{path}' is compressed with {compression}; gzip and zstd are known")


def _unpack_zstd(path: str, data: bytes, limit: int) -> bytes:
    try:
        import zstandard
    except ImportError:
        raise HostError(f"the Python package zstandard is missing; kernel '{path}' is compressed with it") from None
    try:
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            plain: bytes = reader.read(limit + 1)
    except zstandard.ZstdError as error:
        raise ImageError(f"kernel '{path}' is damaged: {error}") from None
    if len(plain) > limit:
        raise ImageError(f"kernel '{path}' expands to more than {limit} bytes")
    return plain
