"""Mutations of binary files that keep their structure: HDF5, pickles, tensors, TIFF and Zarr."""

from __future__ import annotations

import io
import json
import math
import pickle
import random
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from .texts import NUMBERS, TEXTS, mutate_bytes, mutate_json, mutate_value, value

Mutate = Callable[[bytes, random.Random], bytes]
_TYPES = ("u1", "i1", "i4", "i8", "u8", "f2", "f4", "f8", "?", "c8", "S5", ">i4")


def array(rng: random.Random, like: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
    """Return an array of another type, shape or of extreme values."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    if like is None or rng.random() < 0.3:
        shape = rng.choice(((), (0,), (1,), (3,), (0, 2), (1, 2), (7, 2), (12, 5), (12, 5, 1), (1, 12, 5), (2, 0)))
        kind = np.dtype(rng.choice(_TYPES))
        with np.errstate(all="ignore"):
            return numbers.normal(0, rng.choice((1, 1e5, 1e12)), shape).astype(kind)
    changed = np.array(like)
    match rng.randrange(5):
        case 0 if changed.size and changed.dtype.kind in "iuf":
            place = rng.randrange(changed.size)
            limits = np.iinfo(changed.dtype) if changed.dtype.kind in "iu" else np.finfo(changed.dtype)
            others = (np.nan, np.inf, -np.inf) if changed.dtype.kind == "f" else (0, -1 % 2)
            changed.flat[place] = rng.choice((limits.min, limits.max, 0, 1, *others))
        case 1 if changed.dtype.kind in "iuf?":
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                changed = changed.astype(rng.choice(_TYPES))
        case 2 if changed.ndim:
            changed = changed[: rng.randrange(len(changed) + 1)]
        case 3 if changed.ndim:
            changed = np.repeat(changed, rng.choice((2, 3)), axis=rng.randrange(changed.ndim))
        case _:
            changed = changed.T if rng.random() < 0.5 else changed[None]
    return changed


def mutate_hdf5(path: Path, rng: random.Random) -> None:
    """Change attributes and datasets of an HDF5 file where it lies."""
    with h5py.File(path, "r+") as file:
        names: list[str] = ["/"]
        file.visit(names.append)
        for _ in range(rng.choice((1, 1, 2, 4))):
            name = rng.choice(names)
            if name not in file:
                continue
            item = file[name]
            if rng.random() < 0.5:
                _attribute(item, rng)
            elif name != "/":
                _object(file, name, rng)


def _attribute(item: Any, rng: random.Random) -> None:
    names = list(item.attrs)
    name = rng.choice([*names, "patch_size", "downsample", "seg_index"])
    if rng.random() < 0.15 and name in item.attrs:
        del item.attrs[name]
        return
    found: Any = rng.choice(
        (*NUMBERS, *TEXTS, *(array(rng) for _ in range(20)), h5py.Empty("f4"), json.dumps(value(rng)))
    )
    if name == "stages" and rng.random() < 0.5:
        found = json.dumps(value(rng))
    try:
        item.attrs[name] = found
    except (TypeError, ValueError, OverflowError, UnicodeError, OSError, RuntimeError):
        item.attrs[name] = np.float64("nan")


def _object(file: h5py.File, name: str, rng: random.Random) -> None:
    item = file[name]
    attrs = dict(item.attrs)
    data = item[()] if isinstance(item, h5py.Dataset) else None
    del file[name]
    match rng.randrange(10):
        case 0:
            return
        case 1:
            file.create_group(name)
        case 2:
            file[name] = h5py.SoftLink(rng.choice(("/coords", "/nothing", "/")))
        case 3:
            shape = (rng.choice((2**20, 2**40)), 2)
            file.create_dataset(name, shape=shape, chunks=(1, 2), dtype="f4")
        case 4:
            file[name] = np.array(["a", "b"], dtype=h5py.string_dtype())
        case 5:
            file[name] = h5py.Empty("f4")
        case _:
            file[name] = array(rng, data if isinstance(data, np.ndarray) and data.dtype.kind in "iuf?" else None)
    if rng.random() < 0.8:
        for key, found in attrs.items():
            file[name].attrs[key] = found


def mutate_pickle(data: bytes, rng: random.Random) -> bytes:
    """Change values in pickles that the fuzzer itself wrote."""
    file = io.BytesIO(data)
    parts = [pickle.load(file)]
    while file.tell() < len(data):
        parts.append(pickle.load(file))
    number = rng.randrange(len(parts))
    content = parts[number]
    if rng.random() < 0.4 and isinstance(content, list):
        item = rng.choice(content)
        names = [name for name in item if isinstance(item[name], np.ndarray)] if isinstance(item, dict) else []
        if names:
            item[names[0]] = array(rng, item[names[0]])
        else:
            content.append(array(rng))
    else:
        parts[number] = mutate_value(content, rng)
    protocol = rng.randrange(pickle.HIGHEST_PROTOCOL + 1)
    try:
        return b"".join(pickle.dumps(part, protocol) for part in parts)
    except (ValueError, RecursionError, UnicodeError):
        return mutate_bytes(data, rng)


def mutate_pt(data: bytes, rng: random.Random) -> bytes:
    """Write other tensors, or change members of the archive."""
    import torch

    if rng.random() < 0.3:
        out = io.BytesIO()
        like = np.zeros((12, 5), np.float32)
        found = array(rng, like)
        content = torch.from_numpy(np.ascontiguousarray(found)) if found.dtype.kind in "iuf?" else value(rng)
        if rng.random() < 0.3:
            content = rng.choice((value(rng), [content], {"features": content}, torch.zeros(1).expand(10**9, 10)))
        torch.save(content, out)
        return out.getvalue()
    return mutate_zip(data, rng)


def mutate_zip(data: bytes, rng: random.Random) -> bytes:
    """Change the bytes of one member of a ZIP archive, its name, or leave it out."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as source,
        zipfile.ZipFile(out, "w") as archive,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # names that occur twice
        chosen = rng.randrange(len(source.infolist()))
        for number, one in enumerate(source.infolist()):
            content, name = source.read(one), one.filename
            if number == chosen:
                match rng.randrange(4):
                    case 0:
                        continue
                    case 1:
                        name = rng.choice(("../x", "/x", "x" * 300, name + "/", name))
                    case _:
                        content = mutate_bytes(content, rng)
            archive.writestr(name, content)
    return out.getvalue()


def mutate_safetensors(data: bytes, rng: random.Random) -> bytes:
    """Change numbers of a safetensors file, its JSON header, or the header's length."""
    (size,) = struct.unpack("<Q", data[:8])
    if rng.random() < 0.4:
        numbers = bytearray(data[8 + size :])
        for _ in range(rng.choice((1, 2, 8))):
            extreme = struct.pack("<f", rng.choice((0.0, -1.0, 1e-45, 3e38, math.inf, -math.inf, math.nan)))
            place = 4 * rng.randrange(len(numbers) // 4)
            numbers[place : place + 4] = extreme
        return data[: 8 + size] + bytes(numbers)
    header = mutate_json(data[8 : 8 + size], rng)
    said = rng.choice((len(header), len(header), len(header), 0, 2**63, len(header) + 1))
    return struct.pack("<Q", said) + header + data[8 + size :]


def mutate_tiff(data: bytes, rng: random.Random) -> bytes:
    """Change fields of the directories of a TIFF: type, count, value, tag, or the next directory."""
    found = bytearray(data)
    order = "<" if data[:2] == b"II" else ">"
    if data[:2] not in (b"II", b"MM") or struct.unpack_from(f"{order}H", data, 2)[0] != 42:
        return mutate_bytes(data[:4096], rng) + data[4096:]
    places, (offset,) = [], struct.unpack_from(f"{order}I", data, 4)
    while offset and offset + 2 <= len(data) and offset not in [place for place, _ in places]:
        (count,) = struct.unpack_from(f"{order}H", data, offset)
        places.append((offset, count))
        end = offset + 2 + 12 * count
        if end + 4 > len(data):
            break
        (offset,) = struct.unpack_from(f"{order}I", data, end)
    for _ in range(rng.choice((1, 1, 2, 4))):
        start, count = rng.choice(places)
        entry = start + 2 + 12 * rng.randrange(max(1, count))
        extreme = rng.choice(
            (0, 1, 2, 3, 7, 255, 2**16 - 1, 2**31, 2**32 - 1, start, len(data), rng.randrange(2**32))
        )
        match rng.randrange(6):
            case 0:
                struct.pack_into(f"{order}H", found, entry + 2, rng.randrange(20))
            case 1:
                struct.pack_into(f"{order}I", found, entry + 4, extreme)
            case 2:
                struct.pack_into(
                    f"{order}H", found, entry, rng.choice((256, 257, 258, 259, 262, 277, 322, 347, 34665))
                )
            case 3:
                end = start + 2 + 12 * count
                struct.pack_into(f"{order}I", found, end, extreme) if end + 4 <= len(found) else None
            case _:
                struct.pack_into(f"{order}I", found, entry + 8, extreme)
    return bytes(found)


def mutate_folder(folder: Path, rng: random.Random) -> None:
    """Change one file of an OME-Zarr: its JSON, its chunks, its place."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    described = [path for path in files if path.suffix == ".json" or path.name in (".zattrs", ".zarray", ".zgroup")]
    path = rng.choice(described if rng.random() < 0.75 else files)
    if rng.random() < 0.05:
        path.unlink()
    elif rng.random() < 0.05:
        shutil.copyfile(rng.choice(files), path)
    elif path in described and rng.random() < 0.85:
        path.write_bytes(mutate_json(path.read_bytes(), rng))
    else:
        path.write_bytes(mutate_bytes(path.read_bytes(), rng))
