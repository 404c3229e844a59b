"""The paper's encoder: ResNet-50 with ImageNet weights up to layer3, averaged over the patch, 1024 numbers."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import resnet50

from ..models.encoders import ENCODERS
from .folding import fold_norms
from .torch_encoder import TorchEncoder
from .weights import find_state, fit_state

#: The part of the model after the feature; its weights may be in the file and are not used.
_UNUSED = ("layer4.", "fc.")


class TruncatedResNet50(nn.Module):
    """ResNet-50 without layer4 and classifier: (B, 3, S, S) -> (B, 1024)."""

    def __init__(self) -> None:
        super().__init__()
        whole = resnet50(weights=None)
        self.conv1, self.bn1, self.relu, self.maxpool = whole.conv1, whole.bn1, whole.relu, whole.maxpool
        self.layer1, self.layer2, self.layer3 = whole.layer1, whole.layer2, whole.layer3

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, 1024): the mean over positions of layer3."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(pixels))))
        pooled: Tensor = self.layer3(self.layer2(self.layer1(x))).mean(dim=(2, 3))
        return pooled


def load(path: str = "", *, device: str = "auto", precision: str = "float32") -> TorchEncoder:
    """Return the encoder with the weights in ``path``, or the published ones in the folder of weight files.

    Raises
    ------
    EncoderError
        If the weights are missing, damaged or of another model.
    """
    state, file, digest = find_state(path, ENCODERS["resnet50"])
    model = TruncatedResNet50()
    used = {name: value for name, value in state.items() if not name.startswith(_UNUSED)}
    fit_state(model, used, path=file, name="resnet50")
    return TorchEncoder(
        fold_norms(model),
        name="resnet50",
        version="1",
        weights_sha256=digest,
        dim=1024,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        device=device,
        precision=precision,
    )
