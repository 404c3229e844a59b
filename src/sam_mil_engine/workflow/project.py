"""A project folder: where everything of a cohort lies, and the list of its slides."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from .. import layout
from ..bag import h5
from ..bag.names import existing_form
from ..errors import DataError
from ..files import atomic_path, atomic_write, writing_error
from ..settings import STAGES, ProcessSettings, key
from ..slide.info import SlideInfo, slide_id_of
from ..tables.cells import nfc
from ..tables.reading import read_records, whole_number
from ..tables.writing import csv_text
from .locking import held, sweep

#: Columns that every ``process.csv`` has; the others may be empty or missing.
_NEEDED = ("slide_id", "path", "state")


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One line of ``process.csv``.

    ``state`` is ``running``, ``done``, ``failed`` or ``cancelled``; counts and seconds are of the last run that
    made them, empty where a stage never ran.
    """

    slide_id: str
    path: str
    state: str
    tiles: int | None = None
    segments: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    hint: str = ""

    def cells(self) -> dict[str, str]:
        """Return the line as column -> text."""
        plain = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "seconds"}
        plain |= {f"seconds_{stage}": self.seconds.get(stage) for stage in STAGES}
        return {name: _text(value) for name, value in plain.items()}

    @classmethod
    def from_cells(cls, cells: Mapping[str, str]) -> ProcessRow:
        """Read back what :meth:`cells` returned, also where a spreadsheet has written the numbers its own way."""
        text = {name: cells.get(name, "") for name in cls(slide_id="", path="", state="").cells()}
        return cls(
            slide_id=text["slide_id"],
            path=text["path"],
            state=text["state"],
            tiles=whole_number(text["tiles"]) if text["tiles"] else None,
            segments=whole_number(text["segments"]) if text["segments"] else None,
            seconds={s: float(text[f"seconds_{s}"].replace(",", ".")) for s in STAGES if text[f"seconds_{s}"]},
            error=text["error"],
            hint=text["hint"],
        )


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value).replace("\n", " ")


class Project:
    """The folder that ``process -o PROJECT`` writes, as laid out in the README.

    Parameters
    ----------
    folder
        Made if it does not exist.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        try:
            self.bags.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise writing_error(error, self.folder) from error

    @property
    def _list(self) -> Path:
        return self.folder / layout.PROCESS_LIST

    @property
    def bags(self) -> Path:
        """Folder of the native bags."""
        return self.folder / layout.BAGS

    def bag(self, slide_id: str, encoder: str | None = None) -> Path:
        """Path of the native bag of a slide; with the name of a further encoder, of that one's bag."""
        folder = self.bags if encoder is None else self.folder / layout.side_folder(encoder)
        return existing_form(folder / f"{slide_id}{layout.BAG_ENDING}")

    def segments(self, slide_id: str) -> Path:
        """Path of the SAM label image of a slide."""
        return existing_form(self.folder / layout.SEGMENTS / f"{slide_id}.ome.zarr")

    def mask(self, slide_id: str, suffix: str) -> Path:
        """Path of the tissue polygons (``geojson``) or their picture (``jpg``)."""
        return existing_form(self.folder / layout.MASKS / f"{slide_id}.{suffix}")

    def stitch(self, slide_id: str) -> Path:
        """Path of the picture of the kept tiles."""
        return existing_form(self.folder / layout.STITCHES / f"{slide_id}.jpg")

    @contextmanager
    def lock(self, slide_id: str) -> Iterator[None]:
        """Hold the slide for this process, and remove what killed ones were writing of it.

        Raises
        ------
        HeldElsewhereError
            If another process holds it.
        """
        with held(self.bags / f".{slide_id}.lock", wait=0, what=f"another process works on {slide_id!r}"):
            for folder in (
                *self.folder.iterdir(),
                *self.folder.glob(f"{layout.SUPERSEDED}/*"),
                *self.folder.glob(f"{layout.SUPERSEDED}/*/{layout.BAGS}-*"),
            ):
                sweep(folder, slide_id)
            yield

    @contextmanager
    def _list_lock(self) -> Iterator[None]:
        """Hold ``process.csv`` and ``settings.json``, which many processes write."""
        with held(self.folder / ".process.lock", wait=60, what=f"{layout.PROCESS_LIST} is held by another process"):
            sweep(self.folder, "process")
            sweep(self.folder, "settings")
            yield

    def rows(self) -> dict[str, ProcessRow]:
        """Return slide_id -> line of ``process.csv``; raises :class:`DataError` where it cannot be read."""
        rows = {}
        for line, cells in self._lines().items():
            try:
                rows[cells["slide_id"]] = ProcessRow.from_cells(cells)
            except ValueError as error:
                raise DataError(
                    f"{layout.PROCESS_LIST} is damaged (line {line}: {error})",
                    where=self._list,
                    hint="Correct this cell, or empty it",
                ) from error
        return rows

    def _lines(self) -> dict[int, dict[str, str]]:
        """Return line number -> cells of ``process.csv``, with the columns that a person has added."""
        lines = read_records(self._list, needs=_NEEDED) if self._list.exists() else {}
        return {line: {**cells, "slide_id": nfc(cells["slide_id"])} for line, cells in lines.items()}

    def record(self, row: ProcessRow) -> None:
        """Put ``row`` into ``process.csv`` in the place of the slide's older line; other columns are kept."""
        with self._list_lock():
            lines = {cells["slide_id"]: cells for cells in self._lines().values()}
            lines[row.slide_id] = {**lines.get(row.slide_id, {}), **row.cells()}
            columns = list(dict.fromkeys([*row.cells(), *(name for cells in lines.values() for name in cells)]))
            table = [[lines[name].get(column, "") for column in columns] for name in sorted(lines)]
            atomic_write(self._list, csv_text(columns, table))

    def failed_among(self, paths: Sequence[Path]) -> list[Path]:
        """Return those slides whose line in ``process.csv`` does not say ``done``."""
        rows = self.rows()
        return [path for path in paths if (row := rows.get(slide_id_of(path))) and row.state != "done"]

    def save_settings(self, settings: ProcessSettings, versions: Mapping[str, str]) -> None:
        """Write ``settings.json``; earlier settings move to its list ``previous``."""
        path = self.folder / layout.SETTINGS
        now = {"key": key(settings), "settings": settings.model_dump(mode="json"), "versions": dict(versions)}
        with self._list_lock():
            old = json.loads(path.read_text()) if path.exists() else {}
            previous = old.pop("previous", [])
            if old == now:
                return
            if old and old["key"] != now["key"]:
                previous = [*(item for item in previous if item["key"] != now["key"]), old]
            atomic_write(path, json.dumps({**now, "previous": previous}, indent=2))

    def supersede(self, slide_id: str, encoder: str | None = None) -> Path:
        """Keep a copy of a bag under ``superseded/KEY/``, before stages of other settings replace it.

        That of a further encoder lies in the folder of its name there.
        """
        bag = self.bag(slide_id, encoder)
        old_key = str(h5.read_attributes(bag).get("settings_key", "unknown"))
        place = self.folder / layout.SUPERSEDED / old_key
        kept = (place if encoder is None else place / layout.side_folder(encoder)) / bag.name
        with atomic_path(kept) as temporary:
            shutil.copyfile(bag, temporary)
        return kept


#: Facts that are part of a slide's fingerprint. A new fact of a slide must not make old results of it stale.
_FINGERPRINTED = frozenset(
    {"reader", "vendor", "size_px0", "level_sizes", "level_downsamples", "mpp", "objective_power", "bounds_px0"}
)


def slide_sha(info: SlideInfo) -> str:
    """Sixteen hexadecimal digits of the slide file: its size, first and last MiB, and the facts in ``info``."""
    digest = hashlib.sha256()
    with info.path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        digest.update(str(size).encode())
        for start in (0, max(0, size - 2**20)):
            file.seek(start)
            digest.update(file.read(2**20))
    facts = {name: value for name, value in asdict(info).items() if name in _FINGERPRINTED}
    digest.update(json.dumps(facts, sort_keys=True).encode())
    return digest.hexdigest()[:16]
