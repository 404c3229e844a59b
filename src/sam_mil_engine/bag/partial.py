"""Features on their way into a bag: appended in blocks, so that a kill loses one block at most."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..files import atomic_write, writing_error


class PartialFeatures:
    """An append-only file of feature rows with a commit mark next to it.

    The rows lie in ``.SLIDE.features`` next to the bag; ``.SLIDE.features.json`` holds the key of the settings
    they were made with and how many rows are safe. Rows after the mark are cut off when the file is opened.

    Parameters
    ----------
    bag_path
        The bag that the features are for.
    key
        Key of the settings; rows of another key are thrown away.
    width, dtype
        D and the type of the numbers.
    """

    def __init__(self, bag_path: Path, *, key: str, width: int, dtype: str):
        self._data, self._mark = _files(bag_path)
        self._data.parent.mkdir(parents=True, exist_ok=True)
        self._key, self._width, self._dtype = key, width, np.dtype(dtype)
        self.rows = self._committed()
        with self._data.open("ab") as file:
            file.truncate(self.rows * self._row_bytes)

    @property
    def _row_bytes(self) -> int:
        return self._width * self._dtype.itemsize

    def _head(self) -> dict[str, object]:
        return {"key": self._key, "width": self._width, "dtype": self._dtype.name}

    def _committed(self) -> int:
        if not (self._mark.exists() and self._data.exists()):
            return 0
        mark = json.loads(self._mark.read_text())
        rows = int(mark.pop("rows"))
        return rows if mark == self._head() and self._data.stat().st_size >= rows * self._row_bytes else 0

    def append(self, block: npt.NDArray[np.floating]) -> None:
        """Add rows (n, D) and commit them.

        Raises
        ------
        ProjectError
            If the disk is full or the folder cannot be written; the rows committed before are kept.
        """
        try:
            with self._data.open("ab") as file:
                file.write(np.ascontiguousarray(block, dtype=self._dtype).tobytes())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            needed = len(block) * self._row_bytes
            os.truncate(self._data, self.rows * self._row_bytes)  # the room is needed to say so in process.csv
            raise writing_error(error, self._data, needed=needed) from error
        self.rows += len(block)
        atomic_write(self._mark, json.dumps({**self._head(), "rows": self.rows}))

    def read(self) -> npt.NDArray[np.floating]:
        """All committed rows (N, D)."""
        flat = np.fromfile(self._data, dtype=self._dtype, count=self.rows * self._width)
        return flat.reshape(self.rows, self._width)

    def discard(self) -> None:
        """Remove both files: the rows are in the bag now."""
        self._data.unlink(missing_ok=True)
        self._mark.unlink(missing_ok=True)


def count_saved_rows(bag_path: Path, *, key: str) -> int:
    """Return how many rows of this key an earlier run has left for the bag, without opening them for writing."""
    mark = _files(bag_path)[1]
    found = json.loads(mark.read_text()) if mark.exists() else {}
    return int(found["rows"]) if found.get("key") == key else 0


def _files(bag_path: Path) -> tuple[Path, Path]:
    data = bag_path.with_name(f".{bag_path.stem}.features")
    return data, data.with_name(data.name + ".json")
