"""The formats: files to begin with, how they are mutated, and who reads them."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from . import binaries, texts
from .binaries import Mutate
from .seeds import WIDTH, Seeds

#: Share of the mutations that keep the structure of a file.
STRUCTURED = 0.7
#: Pixels of the coarsest level up to which a whole slide is read.
MOST_PIXELS = 2**25


@dataclass(frozen=True)
class Format:
    """One format: ``seeds`` makes or finds whole files or folders; ``read`` reads one as the engine does."""

    name: str
    seeds: Callable[[Seeds], Iterable[Path]]
    mutate: Callable[[Path, random.Random], None]
    read: Callable[[Path], object]


def of_file(structured: Mutate | None, *, head: int | None = None) -> Callable[[Path, random.Random], None]:
    """Return what mutates one file; ``head``: bytes are changed within so many first ones."""

    def mutate(path: Path, rng: random.Random) -> None:
        data = path.read_bytes()
        if structured is not None and rng.random() < STRUCTURED:
            path.write_bytes(structured(data, rng))
        else:
            end = len(data) if head is None or rng.random() < 0.3 else head
            path.write_bytes(texts.mutate_bytes(data[:end], rng) + data[end:])

    return mutate


def hdf5(path: Path, rng: random.Random) -> None:
    if rng.random() < STRUCTURED:
        binaries.mutate_hdf5(path, rng)
    else:
        path.write_bytes(texts.mutate_bytes(path.read_bytes(), rng))


def any_file(folder: Path, rng: random.Random) -> None:
    """Mutate one file of a folder as its ending asks for."""
    path = rng.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    by_ending = {".h5": hdf5, ".pkl": of_file(binaries.mutate_pickle), ".pt": of_file(binaries.mutate_pt)}
    by_ending[".dcm"] = of_file(None, head=4096)
    by_ending[path.suffix](path, rng)


def model(folder: Path, rng: random.Random, *, name: str, mutate: Mutate) -> None:
    """Mutate one file of a model folder; its checksum is made to fit, mostly, so that the next check is reached."""
    file, described = folder / name, folder / "model.json"
    of_file(mutate)(file, rng)
    if name != "model.json" and rng.random() < 0.9:
        about = json.loads(described.read_text())
        key = "weights_sha256" if name == "model.safetensors" else "domain_sha256"
        about[key] = hashlib.sha256(file.read_bytes()).hexdigest()
        described.write_text(json.dumps(about))


def read_slide(path: Path) -> None:
    import sam_mil_engine as sme

    with sme.open_slide(path) as slide:
        for level, (width, height) in enumerate(slide.info.level_sizes):
            slide.read_level(level, (width // 2, height // 2), (64, 64))
        slide.read_half(0, (0, 0), (32, 32))
        width, height = slide.info.level_sizes[-1]
        if width * height < MOST_PIXELS:  # more takes its time, damaged or not
            slide.read_image(max_side=128)


def read_annotation(path: Path) -> None:
    import sam_mil_engine as sme
    from sam_mil_engine.convert.segment_sources import load_segments
    from sam_mil_engine.slide.place import SlidePlace

    place = SlidePlace(
        size_px0=(40_000, 30_000), bounds_px0=None, mpp=(0.5, 0.5), centre_offset_um=(0.0, 0.0), bounds_known=True
    )
    sme.read_annotations(path, info=place)
    if path.suffix == ".geojson" and path.stat().st_size < 20_000:
        load_segments(path)


def read_bags(path: Path, *, name: str) -> None:
    from sam_mil_engine.bag import h5
    from sam_mil_engine.bag.foreign import Known
    from sam_mil_engine.bag.interchange import find_slides

    known = Known(patch_size_px0=None if name != "csv" else 64.0, mpp=(0.5, 0.5))
    chosen, found = find_slides(path, format=name)
    for files in found:
        chosen.read(files, known).bag.check()
    if name == "native":
        for look in (h5.read_tissue, h5.read_stages, h5.read_place, h5.read_segment_origin, h5.read_segments):
            look(path)


def read_model(folder: Path) -> None:
    """Load a model and score a small bag of the kind that the seed expects."""
    from sam_mil_engine.bag.feature_bag import FeatureBag
    from sam_mil_engine.prediction.slide import predict
    from sam_mil_engine.training.checkpoint import load_model

    loaded = load_model(folder, device="cpu")
    features = np.linspace(-1, 1, 3 * WIDTH, dtype=np.float32).reshape(3, WIDTH)
    bag = FeatureBag("s0", np.arange(6, dtype=np.int32).reshape(3, 2), features)
    predict(loaded, bag)
    if loaded.domain is not None:
        loaded.domain.distance(features)


def read_toml(path: Path) -> None:
    from sam_mil_engine.cli.assignments import read_config
    from sam_mil_engine.settings import TrainSettings
    from sam_mil_engine.settings.changes import complete

    values = read_config(path)
    complete(values) if "tiles" in path.read_text(encoding="utf-8", errors="replace") else TrainSettings.parse(
        values
    )


def read_labels(path: Path) -> None:
    from sam_mil_engine.training.labels import read_labels as read

    read(path, keep_all=True)


def read_splits(path: Path) -> None:
    from sam_mil_engine.training.split_files import read_splits as read

    read(path)


def read_slides(path: Path) -> None:
    from sam_mil_engine.slide.table import read_slides_table as read

    read(path)


def read_pickle(path: Path) -> None:
    from sam_mil_engine.bag.segment_pickles import read_pickled_segments

    read_pickled_segments(path)


def read_pt(path: Path) -> None:
    from sam_mil_engine.bag.torch_files import load_pt

    load_pt(path)


def _bags(name: str, mutate: Callable[[Path, random.Random], None] = hdf5) -> Format:
    return Format(name, lambda seeds: seeds.bags(name), mutate, partial(read_bags, name=name))


def _annotations(name: str, pattern: str, structured: Mutate) -> Format:
    return Format(name, lambda seeds: seeds.real(f"annotations/{pattern}"), of_file(structured), read_annotation)


def _slides(name: str, *patterns: str, structured: Mutate | None = binaries.mutate_tiff) -> Format:
    return Format(name, lambda seeds: seeds.real(*patterns), of_file(structured, head=4096), read_slide)


FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        _bags("native"),
        _bags("clam", any_file),
        _bags("trident", any_file),
        _bags("sam-mil", any_file),
        _bags("stamp"),
        _bags("csv", of_file(texts.mutate_table)),
        Format("sam-mil pickle", Seeds.pickles, of_file(binaries.mutate_pickle), read_pickle),
        Format("pt", Seeds.tensors, of_file(binaries.mutate_pt), read_pt),
        Format(
            "model.safetensors",
            Seeds.models,
            partial(model, name="model.safetensors", mutate=binaries.mutate_safetensors),
            read_model,
        ),
        Format(
            "domain.safetensors",
            Seeds.models,
            partial(model, name="domain.safetensors", mutate=binaries.mutate_safetensors),
            read_model,
        ),
        Format("model.json", Seeds.models, partial(model, name="model.json", mutate=texts.mutate_json), read_model),
        Format("labels", Seeds.labels, of_file(texts.mutate_table), read_labels),
        Format("splits", Seeds.splits, of_file(texts.mutate_table), read_splits),
        Format("slide table", Seeds.slide_tables, of_file(texts.mutate_table), read_slides),
        Format("toml", Seeds.configs, of_file(texts.mutate_toml), read_toml),
        _annotations("asap", "wsidicom/asap/*.xml", texts.mutate_xml),
        Format(
            "geojson",
            lambda seeds: (
                *seeds.real("annotations/geojson/*.geojson", "annotations/wsidicom/qupath_geojson/*.json"),
                *seeds.outlines(),
            ),
            of_file(texts.mutate_json),
            read_annotation,
        ),
        _annotations("imagescope", "aperio_qupath_pair/*.xml", texts.mutate_xml),
        _annotations("halo", "halo/test_*.annotations", texts.mutate_xml),
        _annotations("ndpa", "ndpa/*.ndpa", texts.mutate_xml),
        _annotations("camelyon json", "camelyon16_json/Tumor_081.json", texts.mutate_json),
        Format("dsa json", Seeds.dsa, of_file(texts.mutate_json), read_annotation),
        Format("ome-zarr", Seeds.zarrs, binaries.mutate_folder, read_slide),
        _slides("svs", "slides/openslide-fixtures/small.svs", "slides/aperio/*.svs"),
        _slides("ndpi", "slides/hamamatsu/*.ndpi"),
        _slides("tiff", "slides/openslide-fixtures/boxes.tiff", "slides/generic-tiff/CMU*.tiff", "unusual/*.tif*"),
        _slides("ome-tiff", "slides/ome-tiff/*.tiff", "unusual/cells.ome.tif"),
        _slides("dicom", "slides/dicom/sm_image*.dcm", "slides/openslide-fixtures/*.dcm", structured=None),
        Format("dicom set", lambda seeds: seeds.real("slides/dicom/CMU-1-Small-Region_set"), any_file, read_slide),
        Format("jpeg, png", Seeds.pictures, of_file(None, head=512), read_slide),
    )
}


def copy_of(seed: Path, folder: Path) -> Path:
    """Copy a seed into a folder and return the copy."""
    target = folder / seed.name
    if seed.is_dir():
        shutil.copytree(seed, target)
    else:
        shutil.copyfile(seed, target)
    return target
