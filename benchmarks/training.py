"""Training as a cohort needs it: epochs per minute over bags in memory, and peak memory of one step by bag size.

    python benchmarks/training.py [--slides 400] [--patches 10000] [--dim 1024] [--models sam-mil ...] [--json FILE]

The bags are random numbers made on the fly, kept as training keeps them (half precision, in memory). Seconds are
those of one whole epoch of the real training loop, optimiser included; the models in turn, all in one run. Peak
memory is that of a process of its own for every model and size, bag included, less what the process holds after a
step on a bag of one patch (Linux).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from measured import keep

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.mil.aggregator import BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.progress import Progress
from sam_mil_engine.segment.groups import Groups
from sam_mil_engine.settings import ModelSettings, TrainSettings
from sam_mil_engine.training.bag_store import BagStore, Examples
from sam_mil_engine.training.fitting import train_epoch

GROUPS = 60
SIZES = (2_000, 8_000, 20_000, 50_000)


def random_bag(slide_id: str, n: int, dim: int, seed: int) -> FeatureBag:
    """A bag of random features in groups of equal size; the groups are a partition."""
    numbers = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(n)))
    places = np.stack(np.divmod(np.arange(n), side)[::-1], axis=1)
    groups = min(GROUPS, n)
    of_patch = np.arange(n) * groups // n
    membership = Groups(
        indptr=np.concatenate([[0], np.bincount(of_patch).cumsum()]),
        indices=np.arange(n, dtype=np.int32),
        area_raster=numbers.uniform(100, 20_000, groups),
        area_um2=np.full(groups, np.nan),
        group_of_patch=of_patch.astype(np.int32),
        segment_of_group=np.arange(groups, dtype=np.int32),
    )
    features = numbers.standard_normal((n, dim), dtype=np.float32)
    means = np.add.reduceat(features, membership.indptr[:-1]) / np.diff(membership.indptr)[:, None]
    return FeatureBag(
        slide_id=slide_id,
        coords_px0=(512 * places).astype(np.int32),
        features=features,
        groups=membership,
        group_features=means.astype(np.float32),
        attrs={"step_px0": (512.0, 512.0)},
    )


def epochs(args: argparse.Namespace) -> list[dict[str, float | str]]:
    names = [f"slide-{number}" for number in range(args.slides)]
    store = BagStore(
        {name: (Path(name),) for name in names},
        {name: i % 2 for i, name in enumerate(names)},
        device=args.device,
    )
    for number, name in enumerate(names):
        store.offer(name, random_bag(name, args.patches, args.dim, number))
    print(
        f"{args.slides} bags of {args.patches} x {args.dim}: {store.cached_bytes / 2**30:.1f} GiB in half precision"
    )
    print(f"{'model':>10} {'s per epoch':>11} {'epochs per minute':>16} {'ms per bag':>9}")
    rows: list[dict[str, float | str]] = []
    for model_name in args.models:
        model = build_aggregator(ModelSettings(name=model_name), dim=args.dim, n_classes=2).to(args.device)
        settings = TrainSettings(model=ModelSettings(name=model_name))
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=2e-4)
        start = time.perf_counter()
        train_epoch(model, Examples(store, names), optimizer, settings=settings, start=Progress("train", 0, 1))
        if args.device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        print(
            f"{model_name:>10} {seconds:>11.1f} {60 / seconds:>16.2f} {1000 * seconds / args.slides:>9.1f}",
            flush=True,
        )
        rows.append({"model": model_name, "seconds": seconds, "epochs_per_minute": 60 / seconds})
    return rows


def memory(args: argparse.Namespace) -> list[dict[str, float | str]]:
    print(f"\npeak memory of a bag and one training step on it, MiB\n{'model':>10}", end="")
    print("".join(f" {size:>8}" for size in SIZES))
    rows: list[dict[str, float | str]] = []
    for name in args.models:
        peaks = [_peak_of(name, size, args.dim) for size in SIZES]
        print(f"{name:>10}" + "".join(f" {value:>8.0f}" for value in peaks), flush=True)
        rows += [{"model": name, "patches": size, "mib": value} for size, value in zip(SIZES, peaks, strict=True)]
    return rows


def _peak_of(name: str, size: int, dim: int) -> float:
    call = [sys.executable, __file__, "--one-step", name, str(size), str(dim)]
    return float(subprocess.run(call, check=True, capture_output=True, text=True).stdout)


def one_step(name: str, size: int, dim: int) -> None:
    """Print what one training step adds to the memory of this process at its peak, in MiB."""
    torch.set_num_threads(1)
    model = build_aggregator(ModelSettings(name=name), dim=dim, n_classes=2).train()

    def step(n: int) -> None:
        torch.autograd.backward(model.loss(BagTensors.of(random_bag("one", n, dim, 0)), torch.tensor(1)).total)

    step(1)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak counts from here
    before = _status("VmRSS")
    step(size)
    print(_status("VmHWM") - before)


def _status(name: str) -> float:
    """Read a line of /proc/self/status, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slides", type=int, default=400)
    parser.add_argument("--patches", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--models", nargs="+", default=["abmil", "sam-mil", "clam-sb", "dsmil", "dtfd"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one-step", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one_step:
        name, size, dim = args.one_step
        one_step(name, int(size), int(dim))
        return
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    result = {"slides": args.slides, "patches": args.patches, "dim": args.dim, "device": args.device}
    result |= {"threads": args.threads, "epochs": epochs(args), "memory": memory(args)}
    keep(result, args.json)


if __name__ == "__main__":
    main()
