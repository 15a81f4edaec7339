"""Reads and writes safetensors files of 32-bit floats (numpy only).

The format: the length of the header (8 bytes, little-endian), a JSON header {name: {dtype, shape,
data_offsets}, "__metadata__": {text: text}}, the tensors' bytes one after another.
"""

import json
import pathlib
import struct

import numpy as np

HEADER_BYTES_MAX = 1 << 24
ALIGNMENT = 8


class FormatError(Exception):
    """The bytes are not a file of float tensors; the text says what is wrong."""


def to_bytes(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """The file: tensors in the order of their names, every value finite."""
    header: dict[str, object] = {"__metadata__": metadata}
    parts, offset = [], 0
    for name in sorted(tensors):
        values = np.ascontiguousarray(tensors[name], dtype="<f4")
        if not np.isfinite(values).all():
            raise FormatError(f"tensor '{name}' has values that are not finite")
        header[name] = {"dtype": "F32", "shape": list(values.shape),
                        "data_offsets": [offset, offset + values.nbytes]}
        parts.append(values.tobytes())
        offset += values.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def write(path: pathlib.Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    path.write_bytes(to_bytes(tensors, metadata))


def from_bytes(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    if len(data) < 8:
        raise FormatError("shorter than the length of its header")
    (length,) = struct.unpack_from("<Q", data)
    if length > min(HEADER_BYTES_MAX, len(data) - 8):
        raise FormatError(f"a header of {length} bytes does not fit in")
    try:
        header = json.loads(data[8:8 + length])
    except ValueError as error:
        raise FormatError(f"header: {error}") from error
    if not isinstance(header, dict):
        raise FormatError("header: not an object")
    metadata = header.pop("__metadata__", {})
    tensors = data[8 + length:]
    return {name: _tensor(name, entry, tensors) for name, entry in header.items()}, metadata


def read(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    return from_bytes(path.read_bytes())


def _tensor(name: str, entry: dict, data: bytes) -> np.ndarray:
    try:
        begin, end = entry["data_offsets"]
        shape = [int(size) for size in entry["shape"]]
        is_floats = entry["dtype"] == "F32"
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"tensor '{name}': its entry lacks {error}") from error
    if not is_floats:
        raise FormatError(f"tensor '{name}': type {entry['dtype']}, known is F32")
    if not 0 <= begin <= end <= len(data) or end - begin != 4 * int(np.prod(shape, dtype=object)):
        raise FormatError(f"tensor '{name}': bytes {begin} to {end} are not those of {shape}")
    return np.frombuffer(data[begin:end], dtype="<f4").reshape(shape).copy()
