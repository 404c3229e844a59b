"""A project folder: where everything of a cohort lies, its locks, and the list of its slides."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import layout
from ..bag import h5
from ..bag.names import find_existing
from ..errors import Cancelled, DataError, SamMilError, SlideError
from ..files import atomic_path, atomic_write, writing_error
from ..first_look import identity
from ..settings import ProcessSettings, key
from ..slide.entry import SlideEntry
from ..tables.cells import nfc
from ..tables.reading import read_records
from ..tables.writing import csv_text
from .locks import held, sweep
from .results import ProcessRow

_FULL_HINT = "Close other programs, or process fewer slides at once; the next run continues where this one stopped"
#: Columns that every ``process.csv`` has; the others may be empty or missing.
_NEEDED = ("slide_id", "path", "state")
#: Of ``settings.json``; it says what ``auto`` meant without a SAM (:mod:`~sam_mil_engine.process.recorded`).
SETTINGS_FORMAT = 3


class Project:
    """The folder that ``process -o PROJECT`` writes, as laid out in the README.

    Parameters
    ----------
    folder
        Made if it does not exist.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._saved: tuple[object, ...] = ()
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
        return find_existing(folder / f"{slide_id}{layout.BAG_ENDING}")

    def segments(self, slide_id: str) -> Path:
        """Path of the SAM label image of a slide."""
        return find_existing(self.folder / layout.SEGMENTS / f"{slide_id}.ome.zarr")

    def mask(self, slide_id: str, suffix: str) -> Path:
        """Path of the tissue polygons (``geojson``) or their image (``jpg``)."""
        return find_existing(self.folder / layout.MASKS / f"{slide_id}.{suffix}")

    def drawn_tissue(self, slide_id: str) -> Path:
        """Path of the tissue that a person drew; it need not exist."""
        return find_existing(self.folder / layout.DRAWN_TISSUE / f"{slide_id}.geojson")

    def forget_drawn_tissue(self, slide_id: str) -> None:
        """Find the tissue of a slide again from now on; what was drawn moves to ``superseded/tissue/``."""
        path = self.drawn_tissue(slide_id)
        if path.is_file():
            place = self.folder / layout.SUPERSEDED / layout.DRAWN_TISSUE
            place.mkdir(parents=True, exist_ok=True)
            path.replace(place / path.name)

    def stitch(self, slide_id: str) -> Path:
        """Path of the image of the patches."""
        return find_existing(self.folder / layout.STITCHES / f"{slide_id}.jpg")

    @contextmanager
    def lock(self, slide_id: str) -> Iterator[None]:
        """Hold the slide for this process, and remove what killed ones were writing of it.

        Raises
        ------
        LockedError
            If another process holds it.
        """
        with held(self.bags / f".{slide_id}.lock", wait=0, what=f"another process is working on {slide_id!r}"):
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
        with held(
            self.folder / ".process.lock", wait=60, what=f"{layout.PROCESS_LIST} is locked by another process"
        ):
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
                    hint="Correct this cell, or clear it",
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

    def entries(self, slides: Iterable[str | Path | SlideEntry], *, settings: ProcessSettings) -> list[SlideEntry]:
        """Return the entry of each slide: of a file that ``process.csv`` knows, with what was stated about it.

        A tissue preset that the ``settings`` of the run set counts before one that was stated.
        """
        known = {row.path: row for row in reversed(self.rows().values())}
        found = []
        for slide in slides:
            entry = SlideEntry.of(slide)
            row = None if isinstance(slide, SlideEntry) else known.get(str(entry.path.resolve()))
            if row is not None:
                preset = None if "preset" in settings.model_fields_set else row.preset or None
                entry = replace(entry, slide_id=row.slide_id, mpp=row.mpp, preset=preset)
            found.append(entry)
        return found

    def failed_among(self, slides: Iterable[SlideEntry]) -> list[SlideEntry]:
        """Return those slides whose line in ``process.csv`` does not say ``done``."""
        rows = self.rows()
        return [one for one in slides if (row := rows.get(one.slide_id)) and row.state != "done"]

    def save_settings(self, settings: ProcessSettings, versions: Mapping[str, str]) -> None:
        """Write ``settings.json``; earlier settings move to its list ``previous``."""
        path, known = self.folder / layout.SETTINGS, dict(versions)
        if self._saved == (settings, known, identity(path)):
            return
        now = {
            "key": key(settings),
            "format": SETTINGS_FORMAT,
            "settings": settings.model_dump(mode="json"),
            "versions": known,
        }
        with self._list_lock():
            old = json.loads(path.read_text()) if path.exists() else {}
            previous = old.pop("previous", [])
            if old and old["key"] != now["key"]:
                previous = [*(item for item in previous if item["key"] != now["key"]), old]
            if old != now:
                atomic_write(path, json.dumps({**now, "previous": previous}, indent=2))
            self._saved = (settings, known, identity(path))

    def supersede(self, slide_id: str, encoder: str | None = None) -> Path:
        """Keep a copy of a bag under ``superseded/KEY/``, before stages of other settings replace it.

        That of a further encoder lies in the folder of its name there.
        """
        bag = self.bag(slide_id, encoder)
        place = self.folder / layout.SUPERSEDED / str(h5.read_attributes(bag).get("settings_key", "unknown"))
        kept = (place if encoder is None else place / layout.side_folder(encoder)) / bag.name
        with atomic_path(kept) as temporary:
            shutil.copyfile(bag, temporary)
        return kept


@dataclass(slots=True)
class Record:
    """What the stages report for ``process.csv`` while they run."""

    seconds: dict[str, float] = field(default_factory=dict)


@contextmanager
def slide_record(project: Project, entry: SlideEntry, *, ends: str) -> Iterator[Record]:
    """Write ``running`` now, and when the block ends ``ends``, ``failed`` or ``cancelled``."""
    slide_id = entry.slide_id
    before = project.rows().get(slide_id)
    state = ProcessRow(
        slide_id=slide_id,
        path=str(entry.path.resolve()),
        state="running",
        seconds=before.seconds if before else {},
        mpp=entry.mpp,
        preset=entry.preset or "",
    )
    project.record(state)
    record = Record()

    def finish(name: str, error: str = "", hint: str = "") -> None:
        bag = project.bag(slide_id)
        grid = h5.read_grid(bag) if bag.exists() else None
        segments = h5.count_segments(bag) if bag.exists() else None
        project.record(
            replace(
                state,
                state=name,
                tiles=None if grid is None else len(grid),
                segments=segments,
                seconds={**state.seconds, **record.seconds},
                error=error,
                hint=hint,
            )
        )

    try:
        yield record
    except (Cancelled, KeyboardInterrupt, GeneratorExit):
        finish("cancelled")
        raise
    except SamMilError as error:
        finish("failed", error.without_hint(), error.hint or "")
        raise
    except MemoryError as error:
        full = SlideError("the memory of this computer is full", where=entry.path, hint=_FULL_HINT)
        finish("failed", full.without_hint(), _FULL_HINT)
        raise full from error
    except Exception as error:
        finish("failed", f"{type(error).__name__}: {error}", "This is unexpected; please report it with the log")
        raise
    finish(ends)
