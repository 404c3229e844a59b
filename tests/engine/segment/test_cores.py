"""Pieces of work on a processor's cores."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest
import torch

from sam_mil_engine.segment.cores import Cores

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 3])
def n_threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_come_in_order_each_made_with_one_thread_of_torchs(n_threads):
    with Cores(CPU) as cores:
        found = list(cores.map(lambda item: (item, torch.get_num_threads()), range(20)))
    assert found == [(item, 1) for item in range(20)]


def test_as_many_at_a_time_as_torch_has_threads(n_threads):
    together = threading.Barrier(n_threads)
    with Cores(CPU) as cores:
        assert len(list(cores.map(lambda _: together.wait(), range(2 * n_threads)))) == 2 * n_threads


def test_another_device_is_asked_by_one_thread(n_threads):
    with Cores(torch.device("meta")) as cores:
        assert set(cores.map(lambda _: threading.current_thread(), range(4))) == {threading.current_thread()}


def test_torch_has_as_many_threads_afterwards_as_before(n_threads):
    with Cores(CPU) as cores:
        list(cores.map(lambda item: item, range(4)))
    seen = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert [torch.get_num_threads(), *seen] == [n_threads, n_threads]


def test_an_error_or_closing_drops_what_has_not_begun(n_threads):
    begun = []

    def run(item):
        begun.append(item)
        if item == 1:
            raise ValueError("one")
        time.sleep(0.01)  # or all could be over before anyone hears of the error
        return item

    with Cores(CPU) as cores:
        with pytest.raises(ValueError, match="one"):
            list(cores.map(run, range(1000)))
        assert len(begun) < 1000
        begun.clear()
        with closing(cores.map(run, [0, 2, *range(1000)])) as found:
            assert next(found) == 0
        assert len(begun) < 1000


def test_nothing_is_recorded_for_gradients(n_threads):
    weight = torch.ones(2, requires_grad=True)
    with torch.inference_mode(), Cores(CPU) as cores:
        assert not any(product.requires_grad for product in cores.map(lambda x: x * weight, [torch.ones(2)] * 4))
