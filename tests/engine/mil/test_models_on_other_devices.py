"""Every model where there is no float64, as on Apple's devices, and on a GPU where there is one."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from every_model import MODELS, MakeBag, build, into, some_bags

from sam_mil_engine.mil.aggregator import BagTensors
from sam_mil_engine.training.fitting import seeded
from stand_in_devices import WithoutFloat64, as_mps

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", MODELS)
def test_training_and_prediction_need_no_float64(
    name: str, make_bag: MakeBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag, *_ = some_bags(make_bag, 1)
    model = build(name)
    as_mps(monkeypatch)
    with WithoutFloat64():
        for stage in model.stages:
            into(model, stage, [bag])
            torch.autograd.backward(model.loss(bag, torch.tensor(1)).total)
        assert model.eval()(bag).logits.dtype == torch.float32


@pytest.mark.parametrize("name", ["dtfd", "srmil"])
def test_those_that_use_float64_are_found_out(name: str, make_bag: MakeBag) -> None:
    bag, *_ = some_bags(make_bag, 1)
    model = build(name).eval()
    with WithoutFloat64(), pytest.raises(TypeError, match="float64"):
        model(bag)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", MODELS)
def test_a_gpu_trains_with_deterministic_kernels_and_predicts_as_the_cpu(name: str, make_bag: MakeBag) -> None:
    device = torch.device("cuda")
    here = some_bags(make_bag, 3)
    there = [_moved(bag, device) for bag in here]
    model = build(name).to(device)
    with seeded(0, device):
        for stage in model.stages:
            into(model, stage, there)
            for bag in there:
                torch.autograd.backward(model.loss(bag, torch.tensor(1, device=device)).total)
    logits = model.eval()(there[0]).logits.cpu()
    torch.testing.assert_close(model.cpu()(here[0]).logits, logits, atol=1e-3, rtol=1e-3)


def _moved(bag: BagTensors, device: torch.device) -> BagTensors:
    values = {
        field.name: value.to(device) if isinstance(value := getattr(bag, field.name), torch.Tensor) else value
        for field in dataclasses.fields(bag)
        if field.init
    }
    return BagTensors(**values)
