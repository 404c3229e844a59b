from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn

from sam_mil_engine.features.efficientnet_lite0 import classifier
from sam_mil_engine.features.folding import fold_norms
from sam_mil_engine.features.resnet50 import TruncatedResNet50


def with_lived_in_norms(model: nn.Module) -> nn.Module:
    """Random statistics, factors and summands: those of a new model are zeros and ones, and hide every mistake."""
    torch.manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.2)
    return model.eval()


@pytest.mark.parametrize(
    "build",
    [
        classifier,
        TruncatedResNet50,
        lambda: timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0),
    ],
    ids=["efficientnet-lite0", "resnet50", "timm"],
)
def test_the_model_says_the_same_without_its_norms(build):
    model = with_lived_in_norms(build())
    folded = fold_norms(copy.deepcopy(model))
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    pixels = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = model(pixels), folded(pixels)
    assert expected.std() > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_a_norm_that_follows_no_convolution_stays():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4))
    folded = fold_norms(with_lived_in_norms(model))
    assert [type(layer).__name__ for layer in folded] == ["BatchNorm2d", "Conv2d", "ReLU", "BatchNorm2d"]
