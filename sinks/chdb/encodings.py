"""Compression over HTTP: whole bodies by Content-Encoding, and ClickHouse's own compressed blocks.

A driver asks for the blocks by `compress=1` and sends them with `decompress=1`.  A block is a checksum (CityHash 1.0.2
of all that follows), a byte for the method, two sizes and the data; see ClickHouse's CompressedReadBufferBase.cpp.
"""

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator

import lz4.block
import lz4.frame
from backports import zstd
from clickhouse_cityhash.cityhash import CityHash128

from sinks.chdb.request import EngineError

MAX_BODY_BYTES = 1 << 30
"""Size to which a body may grow when it is unpacked."""

_BLOCK_BYTES = 1 << 20
_CHECKSUM_BYTES = 16
_HEADER = struct.Struct("<BII")
_NONE, _LZ4, _ZSTD = 0x02, 0x82, 0x90
_PRODUCED_BY_A_BAD_BODY = (
    RuntimeError,
    ValueError,
    zstd.ZstdError,
    lz4.block.LZ4BlockError,
    OSError,
    EOFError,
    zlib.error,
)


def compressed_blocks(body: bytes) -> bytes:
    """Pack a body into LZ4 blocks of up to 1 MiB, as `compress=1` asks."""
    view = memoryview(body)
    return b"".join(_block(view[start : start + _BLOCK_BYTES]) for start in range(0, len(body), _BLOCK_BYTES))


def decompressed_blocks(body: bytes) -> bytes:
    """Unpack a body of compressed blocks (LZ4, ZSTD or none), as `decompress=1` says.  Raises EngineError."""
    parts, total = [], 0
    for part in _unpacked(memoryview(body)):
        total += len(part)
        if total > MAX_BODY_BYTES:
            raise EngineError.of(271, "CANNOT_DECOMPRESS", f"more than {MAX_BODY_BYTES} bytes when unpacked")
        parts.append(part)
    return b"".join(parts)


def accepted_encoding(header: str) -> str | None:
    """Choose the encoding of an answer from what Accept-Encoding offers; None for no encoding."""
    offered = {part.split(";")[0].strip() for part in header.split(",")}
    return next((encoding for encoding in _COMPRESSORS if encoding in offered), None)


def encoded(body: bytes, encoding: str) -> bytes:
    """Pack a body by one of the encodings that `accepted_encoding` chooses."""
    return _COMPRESSORS[encoding](body)


def decoded(body: bytes, encoding: str) -> bytes:
    """Unpack a body by its Content-Encoding.  Raises EngineError."""
    if not encoding or encoding == "identity":
        return body
    try:
        return bytes(_DECOMPRESSORS[encoding](body))
    except KeyError:
        known = ", ".join(_DECOMPRESSORS)
        raise EngineError.of(48, "NOT_IMPLEMENTED", f"use {known}, not {encoding}") from None
    except _PRODUCED_BY_A_BAD_BODY as error:
        raise EngineError.of(271, "CANNOT_DECOMPRESS", f"bad {encoding} body: {error}") from None


def _block(data: memoryview) -> bytes:
    packed: bytes = lz4.block.compress(data, store_size=False)
    sealed = _HEADER.pack(_LZ4, _HEADER.size + len(packed), len(data)) + packed
    return _checksum(sealed) + sealed


def _unpacked(body: memoryview) -> Iterator[bytes]:
    position = 0
    while position < len(body):
        start = position + _CHECKSUM_BYTES
        if start + _HEADER.size > len(body):
            raise EngineError.of(33, "CANNOT_READ_ALL_DATA", "the last compressed block is cut short")
        method, packed_bytes, bytes_ = _HEADER.unpack_from(body, start)
        position_after = start + packed_bytes
        if packed_bytes < _HEADER.size or position_after > len(body):
            raise EngineError.of(33, "CANNOT_READ_ALL_DATA", "the last compressed block is cut short")
        sealed = body[start:position_after]
        if _checksum(sealed) != body[position:start]:
            raise EngineError.of(40, "CHECKSUM_DOESNT_MATCH", "Checksum doesn't match: corrupted data")
        yield _data(method, bytes(sealed[_HEADER.size :]), bytes_)
        position = position_after


def _data(method: int, packed: bytes, size: int) -> bytes:
    if size > MAX_BODY_BYTES:
        raise EngineError.of(131, "TOO_LARGE_SIZE_COMPRESSED", f"a compressed block of {size} bytes")
    try:
        if method == _LZ4:
            return bytes(lz4.block.decompress(packed, uncompressed_size=size))
        if method == _ZSTD:
            return bytes(zstd.decompress(packed))
    except _PRODUCED_BY_A_BAD_BODY as error:
        raise EngineError.of(271, "CANNOT_DECOMPRESS", f"bad compressed block: {error}") from None
    if method == _NONE:
        return packed
    raise EngineError.of(89, "UNKNOWN_COMPRESSION_METHOD", f"compressed block of method {method}: use LZ4 or ZSTD")


def _checksum(sealed: bytes | memoryview) -> bytes:
    low_and_high: int = CityHash128(bytes(sealed))
    high, low = divmod(low_and_high, 1 << 64)
    return struct.pack("<QQ", high, low)


def _decompress_lz4_frames(body: bytes) -> bytes:
    """Decompress every frame: drivers send one a block of rows, and lz4.frame.decompress stops after the first."""
    parts: list[bytes] = []
    while body:
        frame = lz4.frame.LZ4FrameDecompressor()
        parts.append(frame.decompress(body))
        if not frame.eof:
            raise EOFError("the last frame is cut short")
        body = frame.unused_data or b""
    return b"".join(parts)


_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "gzip": lambda body: gzip.compress(body, compresslevel=1),
}
_DECOMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": _decompress_lz4_frames,
    "zstd": zstd.decompress,
    "gzip": gzip.decompress,
}
