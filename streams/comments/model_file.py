"""File of a model: JSON of weights by feature, which holds no text; its hash is that of its bytes."""

import hashlib
import math
import os
from pathlib import Path

import msgspec

from streams.domain.comments.regression import BUCKETS, CLASSES, Model
from streams.errors import BadSettings

FORMAT = 1
LARGEST_BYTES = 1 << 26


class ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file; `classes` and `buckets` say by which features it was made."""

    format: int
    classes: list[str]
    buckets: int
    bias: list[float]
    weights: dict[int, list[float]]


def write(path: Path, model: Model) -> str:
    """Write a model, whole or not at all, and return its hash.  Raises BadSettings when the file cannot be written."""
    weights = {feature: _rounded(model.weights[feature]) for feature in sorted(model.weights)}
    file = ModelFile(FORMAT, [str(one) for one in CLASSES], BUCKETS, _rounded(model.bias), weights)
    data = msgspec.json.encode(file)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        raise BadSettings(f"{path}: cannot be written ({error.strerror}): choose another --out") from None
    return digest(data)


def read(path: Path, expected_hash: str) -> Model:
    """Read the model of this hash.  Raises BadSettings for another one, and for what is none."""
    try:
        with path.open("rb") as opened:
            data = opened.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise BadSettings(f"{path}: cannot be read ({error.strerror}): correct comments.model in the program") from None
    if (found := digest(data)) != expected_hash:
        raise BadSettings(
            f"{path}: its hash is {found}, the program names {expected_hash}: "
            "put the right file there, or its hash into comments.model_hash"
        )
    try:
        file = msgspec.json.decode(data, type=ModelFile)
    except msgspec.DecodeError as error:
        raise BadSettings(f"{path}: no model of `nps comments fit` ({error})") from None
    rows = [file.bias, *file.weights.values()]
    if (file.format, file.classes, file.buckets) != (FORMAT, [str(one) for one in CLASSES], BUCKETS) or not all(
        len(row) == len(CLASSES) and all(map(math.isfinite, row)) for row in rows
    ):
        raise BadSettings(f"{path}: the model of another version: run `nps comments fit` again")
    return Model(file.bias, file.weights, found)


def digest(data: bytes) -> str:
    """Hash by which the program names a model: 12 hex digits of the file's SHA-256."""
    return hashlib.sha256(data).hexdigest()[:12]


def _rounded(row: object) -> list[float]:
    assert isinstance(row, list | tuple)
    return [round(weight, 4) for weight in row]
