"""Branches for CUDA, run on a stand-in where there is none."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import sam_mil_engine
from sam_mil_engine import devices
from sam_mil_engine.errors import SettingsError
from sam_mil_engine.features.transfers import Transfers
from sam_mil_engine.settings import TrainSettings
from sam_mil_engine.training import fitting, progress_file
from stand_in_devices import FakeCuda


@pytest.fixture
def cuda(monkeypatch):
    """``torch.cuda`` of a stand-in; pinned memory is memory, and "on the device" is here."""
    fake = FakeCuda()
    for name in ("Stream", "stream", "current_stream", "Event", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, getattr(fake, name))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    to, empty = torch.Tensor.to, torch.empty

    def here(self, *places, **options):
        return self if places == (torch.device("cuda"),) else to(self, *places, **options)

    monkeypatch.setattr(torch.Tensor, "to", here)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda *_given: fake.asked.append("in use"))

    def unpinned(*shape, pin_memory, **rest):
        assert pin_memory
        return empty(*shape, **rest)

    monkeypatch.setattr(torch, "empty", unpinned)
    return fake


def test_pixels_go_by_a_stream_of_their_own_and_features_come_when_asked_for(cuda):
    transfers = Transfers(torch.device("cuda"))
    pixels = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    there = transfers.send(pixels)
    np.testing.assert_array_equal(there.numpy(), pixels)
    waiting = transfers.fetch(torch.tensor([[1.5, 2.5]], dtype=torch.float64))
    np.testing.assert_array_equal(waiting(), np.array([[1.5, 2.5]], dtype=np.float32))
    assert cuda.asked == ["stream on cuda", "wait", "in use"]


def test_memory_that_torch_holds_is_given_back_on_each_kind_of_device(cuda, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: asked.append("mps"))
    for name in ("cuda", "mps", "cpu"):
        devices.free_cache(torch.device(name))
    assert (cuda.asked, asked) == (["empty cache"], ["mps"])


def test_a_gpu_is_described_by_name_and_memory(monkeypatch):
    properties = SimpleNamespace(name="NVIDIA H200", total_memory=139 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: properties)
    assert devices.describe(torch.device("cuda", 1)) == "cuda:1 (NVIDIA H200, 139 GiB)"


def test_mps_is_described_with_what_it_lacks():
    expected = "mps (float32 in place of float64; what torch lacks there runs on the CPU)"
    assert devices.describe(torch.device("mps")) == expected
    assert devices.widest_float(torch.device("mps")) == torch.float32
    assert devices.widest_float(torch.device("cuda")) == devices.widest_float(torch.device("cpu")) == torch.float64


@pytest.mark.parametrize(
    ("cuda_here", "mps_here", "chosen"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_cuda_then_mps_then_the_cpu(monkeypatch, cuda_here, mps_here, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda_here)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps_here)
    tried, empty = [], torch.empty
    monkeypatch.setattr(torch, "empty", lambda *shape, device: tried.append(device) or empty(*shape))
    assert devices.pick_device().type == chosen
    assert [device.type for device in tried] == [chosen]


@pytest.mark.parametrize(("platform", "expected"), [("darwin", "1"), ("linux", None)])
def test_on_a_mac_torch_may_compute_on_the_cpu_what_its_device_lacks(monkeypatch, platform, expected):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("PYTORCH_ENABLE_MPS_FALLBACK", "0")
    monkeypatch.delenv("PYTORCH_ENABLE_MPS_FALLBACK")
    importlib.reload(sam_mil_engine)
    assert os.environ.get("PYTORCH_ENABLE_MPS_FALLBACK") == expected


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_here_is_an_error_that_says_what_to_do(name):
    if devices.pick_device().type == torch.device(name).type:
        pytest.skip(f"{name} is here")
    with pytest.raises(SettingsError, match=f"the device '{name}' cannot be used here.*Use auto, cpu, cuda"):
        devices.pick_device(name)


def test_training_on_cuda_takes_bfloat16_and_deterministic_kernels(monkeypatch):
    device = torch.device("cuda")
    forked = []
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(fitting.torch.random, "fork_rng", lambda devices: forked.append(devices) or nullcontext())
    with fitting.seeded(1, device):
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
    assert forked == [[device]]
    monkeypatch.setattr(torch, "autocast", lambda kind, dtype, enabled: (kind, dtype, enabled))
    bf16 = TrainSettings(precision="bf16")
    assert fitting.autocast(device, bf16) == ("cuda", torch.bfloat16, True)
    assert fitting.autocast(torch.device("cpu"), bf16)[2] is False
    assert fitting.autocast(device, None)[2] is False


def test_random_numbers_of_a_gpu_are_saved_and_put_back(tmp_path, monkeypatch):
    state, back = torch.arange(16, dtype=torch.uint8), []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: state)
    monkeypatch.setattr(torch.cuda, "set_rng_state", back.append)
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    file = tmp_path / "progress.pt"
    progress_file.save_progress(file, model, optimizer, stage="all", history=[], best=model.state_dict())
    saved = progress_file.read_progress(file)
    progress_file.restore(saved, model, optimizer, file)
    assert torch.equal(back[0], state)
