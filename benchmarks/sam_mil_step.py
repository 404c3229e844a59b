"""A SAM-MIL training step against a plain AB-MIL forward + backward on the same bag, in one process.

    python benchmarks/sam_mil_step.py [--threads 2] [--steps 12] [--json FILE]

The plain AB-MIL is written out here with torch's own layers and sees the patches only: projection, attention,
pooling, classifier. Steps of all variants take turns, so that a slow moment of the machine hits all alike. The
ratio is that of the fastest steps, which another program on the machine disturbs least; medians are told too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measured import device_named, forget_peak, keep, peak_bytes, wait
from torch import nn

from sam_mil_engine.mil.aggregator import BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.settings import ModelSettings


class PlainAbMil(nn.Module):
    """AB-MIL as everyone writes it."""

    def __init__(self, dim: int, n_classes: int):
        super().__init__()
        self.project = nn.Sequential(nn.Linear(dim, 512), nn.ReLU(), nn.Dropout(0.25))
        self.attend = nn.Sequential(nn.Linear(512, 128), nn.Tanh(), nn.Linear(128, 1))
        self.head = nn.Linear(512, n_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        hidden = self.project(features)
        weights = torch.softmax(self.attend(hidden), dim=0)
        return self.head(weights.T @ hidden)


def random_bag(n: int, n_groups: int, dim: int, device: torch.device) -> BagTensors:
    group = torch.randint(-1, n_groups, (n,))
    inside = torch.nonzero(group >= 0).flatten()
    return BagTensors(
        tokens=torch.randn(n + n_groups, dim, device=device),
        coords_px0=torch.zeros((n, 2), dtype=torch.int64, device=device),
        group_of_patch=group.to(device),
        group_area=torch.logspace(1, 5, n_groups, device=device),
        member_group=group[inside].to(device),
        member_patch=inside.to(device),
        step_px0=(512.0, 512.0),
    )


def steps_for(bag: BagTensors, dim: int, device: torch.device) -> dict[str, Callable[[], None]]:
    label = torch.tensor(1, device=device)
    plain = PlainAbMil(dim, 2).to(device).train()
    models = {
        name: build_aggregator(ModelSettings(name=name, consistency_weight=1000.0), dim=dim, n_classes=2)
        .to(device)
        .train()
        for name in ("abmil", "sam-mil")
    }

    def plain_step() -> None:
        plain.zero_grad()
        nn.functional.cross_entropy(plain(bag.features), label[None]).backward()

    def step(name: str) -> Callable[[], None]:
        def run() -> None:
            models[name].zero_grad()
            models[name].loss(bag, label).total.backward()

        return run

    return {"plain AB-MIL": plain_step, "abmil": step("abmil"), "sam-mil": step("sam-mil")}


def measure(steps: dict[str, Callable[[], None]], count: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of every step, by variant; two steps of each warm up."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(count + 2):
        for name, step in steps.items():
            wait(device)
            start = time.perf_counter()
            step()
            wait(device)
            if turn >= 2:
                times[name].append(time.perf_counter() - start)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, nargs="+", default=[2000, 8000, 20000])
    parser.add_argument("--groups", type=int, default=60)
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = device_named(args.device)
    print(f"{args.groups} groups, D = {args.dim}, {args.device}, {args.threads} threads, {args.steps} steps, ms")
    print(f"{'patches':>8} {'plain AB-MIL':>14} {'abmil':>8} {'sam-mil':>8} {'ratio':>7} {'of medians':>11}")
    rows = []
    for n in args.patches:
        bag = random_bag(n, args.groups, args.dim, device)
        forget_peak(device)
        times = measure(steps_for(bag, args.dim, device), args.steps, device)
        best = {name: 1000 * min(values) for name, values in times.items()}
        median = {name: 1000 * statistics.median(values) for name, values in times.items()}
        ratio, ratio_of_medians = (found["sam-mil"] / found["plain AB-MIL"] for found in (best, median))
        print(
            f"{n:>8} {best['plain AB-MIL']:>14.1f} {best['abmil']:>8.1f} {best['sam-mil']:>8.1f}"
            f" {ratio:>6.2f}x {ratio_of_medians:>10.2f}x"
        )
        rows.append(
            {"patches": n, "best_ms": best, "median_ms": median, "ratio": ratio, "peak_bytes": peak_bytes(device)}
        )
    result = {"groups": args.groups, "dim": args.dim, "device": args.device, "threads": args.threads, "rows": rows}
    keep(result, args.json)


if __name__ == "__main__":
    main()
