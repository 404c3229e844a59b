"""Every model by name: what it is, where it comes from, and where it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ..errors import ModelError
from ..features.hub import HUB_MODELS, PREFIX, HubModel, cached_weights
from ..features.registry import EncoderDescription, available_encoders, encoder_files
from ..model_files import ModelFile
from ..segment.published import added_sams, sam_files
from ..segment.registry import SegmenterDescription, available_segmenters

Role = Literal["segmenter", "encoder", "classifier"]
_PACKAGED = "comes with this package"
#: What to cite for the models that need no file of their own.
_CITATIONS = {
    "regions": "Achanta et al., SLIC superpixels, TPAMI 34(11), 2012; Ward, JASA 58, 1963",
    "stain-regions": "as regions; Ruifrok and Johnston, color deconvolution, Anal Quant Cytol Histol 23, 2001",
    "tissue-sam": "Kirillov et al., Segment Anything, ICCV 2023, arXiv:2304.02643; see its card",
    "efficientnet-lite0": "Tan and Le, EfficientNet, ICML 2019, arXiv:1905.11946",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One model.

    Attributes
    ----------
    role, name, what, licence, citation
        What it is.
    source
        Address that it comes from, or a word on where it comes from.
    size, sha256
        In words: the size is marked where it is approximate, the checksum where only its first digits are known.
    on_disk
        Whether it can be used now.
    path
        Where it is kept, or would be; None where it is in no file of its own, or the hub's cache lacks it.
    needs
        Package that is missing for it, or nothing.
    """

    role: Role
    name: str
    what: str
    licence: str
    citation: str
    source: str
    size: str
    sha256: str
    on_disk: bool
    path: Path | None = None
    needs: str = ""


def catalogue() -> list[Entry]:
    """All models: segmenters, encoders (also those behind a form on the hub), classifiers."""
    from ..training.model_folders import available_classifiers, bundled_models

    added = added_sams()
    files = {("segmenter", name): file for name, file in sam_files().items()}
    files |= {("encoder", name): file for name, file in encoder_files().items()}
    entries = [_of_file(role, file) for (role, _), file in files.items()]
    for item in available_segmenters():
        if ("segmenter", item.name) not in files:
            entries.append(_of_description("segmenter", item, added.get(item.name)))
    for one in available_encoders():
        if ("encoder", one.name) not in files and not one.name.endswith(":NAME"):
            entries.append(_of_description("encoder", one, None))
    entries += [_of_hub(model) for model in HUB_MODELS.values()]
    folders = bundled_models()
    for classifier in available_classifiers():
        path = folders[classifier.name]
        entries.append(_of_classifier(classifier.name, classifier.what, classifier.licence, path))
    order = ("segmenter", "encoder", "classifier")
    return sorted(entries, key=lambda entry: (order.index(entry.role), entry.source != _PACKAGED))


def find_entry(name: str) -> Entry:
    """Return the entry called ``name``; any ``hf:OWNER/NAME`` is one.

    Raises
    ------
    ModelError
        If there is none.
    """
    entries = {entry.name: entry for entry in catalogue()}
    if name in entries:
        return entries[name]
    if name.startswith(PREFIX) and name.count("/") == 1:
        return _of_hub(HubModel(name.removeprefix(PREFIX), "a model of timm on the hub", "see its page", ""))
    raise ModelError(f"there is no model {name!r}", hint=f"Choose one of {', '.join(entries)}, or hf:OWNER/NAME")


def _of_file(role: str, file: ModelFile) -> Entry:
    lacks = file.needs if file.needs and find_spec(file.needs) is None else ""
    return Entry(
        "segmenter" if role == "segmenter" else "encoder",
        file.name,
        file.what,
        file.licence,
        file.citation,
        file.url,
        file.size_in_words,
        file.checksum_in_words,
        file.path.is_file() and not lacks,
        file.path,
        lacks,
    )


def _of_description(role: Role, item: SegmenterDescription | EncoderDescription, path: Path | None) -> Entry:
    source = _PACKAGED if path is None else "added by you"
    size = "" if path is None else f"{path.stat().st_size:,} bytes"
    citation = _CITATIONS.get(item.name, "")
    return Entry(role, item.name, item.what, item.licence, citation, source, size, "", item.on_disk, path)


def _of_hub(model: HubModel) -> Entry:
    path = cached_weights(model.repository)
    size = "" if path is None else f"{path.stat().st_size:,} bytes"
    checksum = "given by the hub when it is fetched"
    return Entry(
        "encoder",
        model.name,
        model.what,
        model.licence,
        model.citation,
        model.url,
        size,
        checksum,
        path is not None,
        path,
    )


def _of_classifier(name: str, what: str, licence: str, folder: Path) -> Entry:
    size = sum(item.stat().st_size for item in folder.iterdir() if item.is_file())
    checksum = "in model.json, checked whenever it is loaded"
    return Entry(
        "classifier", name, what, licence, "see its card", _PACKAGED, f"{size:,} bytes", checksum, True, folder
    )
