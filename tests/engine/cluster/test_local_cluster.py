"""What `--scheduler local` starts."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import distributed
import pytest

from sam_mil_engine.cluster import client as cluster


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The specifications of clusters; none is started."""
    specifications: list[dict[str, Any]] = []
    monkeypatch.setattr(distributed, "SpecCluster", lambda **options: specifications.append(options))
    monkeypatch.setattr(cluster, "cpu_count", lambda: 8)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    torch = SimpleNamespace(cuda=SimpleNamespace(device_count=lambda: 2))
    monkeypatch.setitem(sys.modules, "torch", torch)
    return specifications


def workers(specification: dict[str, Any]) -> list[dict[str, Any]]:
    return [worker["options"] for worker in specification["workers"].values()]


def test_every_cuda_device_has_a_worker_of_its_own(
    started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster._local_cluster(cluster._gpus("auto"), most=100)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-5, GPU-7")
    cluster._local_cluster(cluster._gpus("cuda"), most=100)
    for specification, names in zip(started, (["0", "1"], ["GPU-5", "GPU-7"]), strict=True):
        assert [worker["env"]["CUDA_VISIBLE_DEVICES"] for worker in workers(specification)] == names
        for worker in workers(specification):
            assert worker["resources"] == {"GPU": 1}
            assert worker["nthreads"] == 1
            assert worker["env"]["OMP_NUM_THREADS"] == "4"


def test_without_one_there_is_a_worker_a_core_or_a_slide(started: list[dict[str, Any]]) -> None:
    for most in (100, 3):
        cluster._local_cluster(cluster._gpus("cpu"), most=most)
    assert [len(workers(specification)) for specification in started] == [8, 3]
    for worker in workers(started[0]):
        assert worker["resources"] == {}
        assert "CUDA_VISIBLE_DEVICES" not in worker["env"]
        assert worker["env"]["OMP_NUM_THREADS"] == "1"
        assert worker["host"] == "127.0.0.1"
    scheduler = started[0]["scheduler"]["options"]
    assert scheduler["host"] == "127.0.0.1"
    assert scheduler["dashboard_address"].startswith("127.0.0.1:")


def test_slides_ask_for_a_gpu_where_a_worker_declares_one() -> None:
    def client(*workers: tuple[int, int]) -> Any:
        found = {
            str(number): {"nthreads": t, "resources": {"GPU": g} if g else {}}
            for number, (t, g) in enumerate(workers)
        }
        return SimpleNamespace(
            sync=lambda call: call(), scheduler=SimpleNamespace(identity=lambda: {"workers": found})
        )

    assert cluster.capacity(client()) == (0, False)
    assert cluster.capacity(client((4, 0), (2, 0))) == (6, False)
    assert cluster.capacity(client((4, 1), (4, 2), (8, 0))) == (3, True)
