"""Pickles of other programs, read without running anything that stands in them.

A pickle is a program: it names functions and calls them. Here the few names that a NumPy array needs lead to
functions of this module, every other name is refused, and a first pass over the opcodes refuses what would cost
memory before a name is even looked up. What comes out consists of numbers, texts, tuples, lists, dictionaries and
arrays of numbers.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BagError
from ..files import atomic_path

#: Opcodes that reach outside the pickle: classes by number, objects kept elsewhere, buffers outside the stream.
_REFUSED = frozenset({"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER", "INST"})
_HINT = "Only use such files from people you trust; export the segments again with the program that made them"


def load_pickles(path: str | Path) -> list[Any]:
    """Read all consecutive pickles in a file.

    Raises
    ------
    BagError
        If the file is missing, damaged, or holds anything but numbers, texts, containers and arrays of numbers.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        _check_opcodes(content)
        stream, found = io.BytesIO(content), []
        while stream.tell() < len(content):
            found.append(_Unpickler(stream).load())
    except _Refused as error:
        raise BagError(f"the pickle was not read: {error}", where=path, hint=_HINT) from error
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise _damaged(path, error) from error
    except (pickle.UnpicklingError, EOFError, OverflowError, MemoryError, RecursionError, ImportError) as error:
        raise _damaged(path, error) from error
    return found


def _damaged(path: Path, error: BaseException) -> BagError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return BagError(f"not a readable pickle ({reason})", where=path, hint="Copy the file again from its source")


class _Refused(Exception):
    """The pickle asks for something that no segment file needs."""


def _check_opcodes(content: bytes) -> None:
    """Walk through all opcodes without acting on them.

    Lengths beyond the end of the file fail here. Memory slots are counted: Python's reader would clear as many
    of them as the largest number in the file says, whatever the size of the file.
    """
    stream, count = io.BytesIO(content), 0
    while stream.tell() < len(content):
        for opcode, argument, _ in pickletools.genops(stream):
            count += 1
            if opcode.name in _REFUSED:
                raise _Refused(f"it holds the opcode {opcode.name}")
            if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(argument or 0) < count:
                raise _Refused(f"it requests {argument} memory slots")


class _Dtype:
    """A number type on its way from the pickle: one of NumPy's plain ones, in either byte order."""

    def __init__(self, name: str, align: bool = False, copy: bool = True):
        plain = np.dtype(name) if isinstance(name, str) and len(name) <= 4 else None
        if plain is None or plain.kind not in "biuf" or align:
            raise _Refused(f"it holds an array of {name!r}")
        self.dtype: np.dtype[Any] = plain

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order, rest = state[1], state[2:8]
        if order not in ("<", ">", "|", "=") or rest != (None, None, None, -1, -1, 0):
            raise _Refused("it holds an array of records")
        self.dtype = self.dtype if order == "|" else self.dtype.newbyteorder(order)


class _Array(npt.NDArray[Any]):
    """An array that takes its state only where the bytes are exactly as many as its shape says."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        array = _from_buffer(content, dtype, shape, "F" if fortran else "C")
        plain: Any = super()
        plain.__setstate__((1, array.shape, array.dtype, bool(fortran), array.tobytes("A")))


def _reconstruct(kind: Any, shape: Any, _: Any) -> _Array:
    """Give the empty array that NumPy's own pickles begin with; its content follows as a state."""
    if kind is not _NAMES["numpy", "ndarray"] or shape != (0,):
        raise _Refused("it begins an array in an unusual way")
    return np.empty(0, dtype=np.uint8).view(_Array)


def _from_buffer(content: Any, dtype: Any, shape: Any, order: str = "C") -> npt.NDArray[Any]:
    sizes = isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)
    if not (isinstance(content, bytes | bytearray) and isinstance(dtype, _Dtype) and sizes and order in ("C", "F")):
        raise _Refused("it holds an array that is not made of numbers")
    if math.prod(shape) * dtype.dtype.itemsize != len(content) or len(shape) > 8:
        raise _Refused(f"it holds an array of shape {shape} in {len(content)} bytes")
    array = np.frombuffer(content, dtype=dtype.dtype) if content else np.empty(0, dtype=dtype.dtype)
    return array.reshape(shape, order="C" if order == "C" else "F")


def _scalar(dtype: Any, content: Any = None) -> int | float | bool:
    number: int | float | bool = _from_buffer(content, dtype, ()).item()
    return number


def _new_array(shape: Any, dtype: Any, content: Any) -> npt.NDArray[Any]:
    """Make an array of its bytes, as :func:`save_pickle` writes it; NumPy itself names the class only."""
    return _from_buffer(content, _Dtype(dtype), shape)


@dataclass(frozen=True, slots=True)
class _Name:
    """What a name in the pickle leads to: it can be called, but not changed by the pickle."""

    function: Callable[..., Any]

    def __call__(self, *arguments: object) -> Any:
        return self.function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise _Refused("it changes a function")


_NAMES: dict[tuple[str, str], _Name] = {
    ("numpy", "ndarray"): _Name(_new_array),
    ("numpy", "dtype"): _Name(_Dtype),
    **{
        (f"numpy.{core}.{module}", name): _Name(function)
        for core in ("core", "_core")  # the names before and since NumPy 2
        for module, name, function in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _NAMES[module, name]
        except KeyError:
            raise _Refused(f"it names {module}.{name}") from None


def save_pickle(path: Path, value: object) -> None:
    """Write one pickle that every version of NumPy reads: arrays by their public class, shape, type and bytes.

    Raises
    ------
    ProjectError
        If the file cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        _Pickler(file, protocol=4).dump(value)


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: object) -> Any:
        if isinstance(value, np.ndarray):
            return np.ndarray, (value.shape, value.dtype.str, value.tobytes())
        return NotImplemented
