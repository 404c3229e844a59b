"""Labels and bags of a cohort: what belongs together, and what does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..bag.h5 import read_bag
from ..bag.joining import join_bags
from ..bag.names import KnownNames
from ..bag.native import bags_in
from ..errors import DataError
from ..progress import Progress, ProgressCallback, notice, silent
from ..tables.cells import listing, nfc
from .bag_store import BagStore, Examples
from .expects import Expects, common_kind

if TYPE_CHECKING:
    import pandas as pd
    import torch


@dataclass(frozen=True, slots=True)
class Cohort:
    """The labelled slides whose bags exist.

    Attributes
    ----------
    table
        ``slide_id``, ``label``, and ``patient_id``, ``split`` where the labels file has them; one row per slide.
    classes
        Names of the classes; a slide's target is the position of its label. The positive class is the last.
    paths
        Bag file of every slide in the table.
    unlabelled
        Bags in the folder that have no label.
    missing
        Labelled slides without a bag, left out of the table on request.
    parts
        Where the bags are patients, the slides of each; the rows of the table are patients then. Else empty.
    """

    table: pd.DataFrame
    classes: tuple[str, ...]
    paths: Mapping[str, Path]
    unlabelled: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, tuple[Path, ...]]:
        """Bag -> its files: one, or one per slide of the patient."""
        names = self.table["slide_id"]
        return {name: tuple(self.paths[slide] for slide in self.parts.get(name, (name,))) for name in names}


@dataclass(frozen=True, slots=True)
class LoadedBags:
    """All bags of a cohort, shared by folds and models."""

    store: BagStore
    expects: Expects

    def pick(self, slide_ids: Sequence[str]) -> Examples:
        """Return the examples of these slides, in this order."""
        return Examples(self.store, slide_ids)


def match_bags(
    labels: pd.DataFrame,
    bags_dir: str | Path,
    *,
    classes: Sequence[str] | None = None,
    allow_missing: bool = False,
    one_class: bool = False,
    progress: ProgressCallback = silent,
) -> Cohort:
    """Find the bag ``SLIDE.h5`` of every labelled slide in ``bags_dir``, a folder of bags or a project.

    Raises
    ------
    DataError
        If the folder has no bags, a labelled slide has none (unless ``allow_missing``), a label is not among
        ``classes``, or there are fewer than two classes (unless ``one_class``).
    """
    folder = Path(bags_dir)
    found = {nfc(path.stem): path for path in bags_in(folder)}
    if not found:
        raise DataError(
            "no bag (*.h5) is here",
            where=folder,
            hint="Run `sam-mil-engine process` first",
            window_hint="Choose the folder bags of a project",
        )
    labels = labels.assign(slide_id=_as_bags(labels["slide_id"], found, progress))
    ids = list(labels["slide_id"])
    missing = tuple(slide_id for slide_id in ids if slide_id not in found)
    if missing and (not allow_missing or len(missing) == len(ids)):
        raise DataError(
            f"{len(missing)} of {len(ids)} labelled slides have no bag: {listing(missing)}",
            where=folder,
            hint="Process these slides, correct their slide_id (the bag's file name without .h5), or leave them"
            " out of the labels",
        )
    unlabelled = tuple(name for name in found if name not in set(ids))
    if unlabelled:
        message = f"{len(unlabelled)} bags have no label and are not used: {listing(unlabelled)}"
        progress(notice("labels", message))
    table = labels[~labels["slide_id"].isin(missing)].reset_index(drop=True)
    paths = {slide_id: found[slide_id] for slide_id in table["slide_id"]}
    names = class_names(table["label"], classes, one_class=one_class)
    progress(notice("labels", _summary(table, names)))
    return Cohort(table=table, classes=names, paths=paths, unlabelled=unlabelled, missing=missing)


def _as_bags(slide_ids: Iterable[str], found: Mapping[str, Path], progress: ProgressCallback) -> list[str]:
    """Return the names as the bags have them; one without a bag as it is."""
    known, written = KnownNames(found), list(slide_ids)
    names = [known.find(name) or name for name in written]
    changed = {name: old for name, old in zip(names, written, strict=True) if name != old}
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        pairs = [f"{changed.get(name, name)} means {name}" for name in twice]
        raise DataError(
            f"several slide_ids mean the same bag: {listing(pairs)}",
            hint="Keep one row per slide",
        )
    if changed:
        progress(notice("labels", f"slide_ids: {listing(f'{old} means {name}' for name, old in changed.items())}"))
    return names


def _summary(table: pd.DataFrame, classes: Sequence[str]) -> str:
    """One line for the user: how many slides, patients and slides per class."""
    patients = f" of {table['patient_id'].nunique()} patients" if "patient_id" in table else ", no patients given"
    counts = Counter(table["label"])
    return f"{len(table)} slides{patients}; classes: {', '.join(f'{name} {counts[name]}' for name in classes)}"


def class_names(
    labels: Iterable[str], classes: Sequence[str] | None = None, *, one_class: bool = False
) -> tuple[str, ...]:
    """Return the classes in their order: as given, else sorted, numbers by value."""
    present = set(labels)
    if len(present) < 2 and not one_class:
        raise DataError(
            f"all slides have the label {listing(present)}", hint="Training needs slides of at least two classes"
        )
    if classes is None:
        numeric = all(name.lstrip("+-").isdigit() for name in present)
        return tuple(sorted(present, key=(lambda name: (int(name), name)) if numeric else None))
    unknown = sorted(present - set(classes))
    if unknown or len(set(classes)) != len(classes):
        raise DataError(
            f"the labels {listing(sorted(present))} do not fit the classes {listing(classes)}",
            hint="Name every label once in `classes`, the positive one last",
        )
    return tuple(classes)


def load_bags(
    cohort: Cohort,
    *,
    device: torch.device | str = "cpu",
    dtype: Literal["float16", "float32"] = "float32",
    budget: float = float("inf"),
    progress: ProgressCallback = silent,
) -> LoadedBags:
    """Read and check all bags of the cohort, and cache them on ``device``, at most ``budget`` bytes of them.

    Raises
    ------
    BagError
        If a bag is damaged, or two bags differ in encoder, width or patch size; both files are named.
    """
    targets = {
        slide_id: cohort.classes.index(label)
        for slide_id, label in zip(cohort.table["slide_id"], cohort.table["label"], strict=True)
    }
    files = cohort.files
    store = BagStore(files, targets, device=device, dtype=dtype, budget=budget)
    kinds: dict[Path, Expects] = {}
    for number, name in enumerate(targets):
        progress(Progress("bags", number, len(targets), unit="bags", message=name))
        bags = [read_bag(file).check() for file in files[name]]
        kinds |= {file: Expects.of(bag) for file, bag in zip(files[name], bags, strict=True)}
        store.offer(name, join_bags(name, bags))
    kept = f"{store.n_cached} cached in memory, {store.cached_bytes / 2**30:.1f} GiB"
    message = "" if store.n_cached == len(targets) else f"{kept}; the others are read again in every epoch"
    progress(Progress("bags", len(targets), len(targets), unit="bags", message=message))
    return LoadedBags(store, common_kind(kinds))
