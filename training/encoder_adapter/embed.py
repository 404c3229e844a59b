"""Embed every tile and its views once, at several depths of the embedded encoder; what is finished is kept.

    .venv/bin/python training/encoder_adapter/embed.py WORK_FOLDER --data SHARED_DATA

Writes WORK_FOLDER/NAME.npy, float16: (n, D) of PatchCamelyon's valid tiles and of GlaS, (n, 1 + VIEWS, D) of the
tiles to learn from, the tile itself first. About four minutes of one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tissue import Image, colon, lymph_node, view

from sam_mil_engine.features.efficientnet_lite0 import classifier
from sam_mil_engine.features.folding import fold_norms

sys.path.append(str(Path(__file__).parents[2] / "studies"))
from encoders import glas

#: Augmented views of every tile to learn from.
VIEWS = 4
#: Stages of the encoder that are pooled besides its last layer, and the width of each.
STAGES = {2: 40, 3: 80, 4: 112, 5: 192, 6: 320}
LAST = 1280
#: Where the means of the stages, the means of the last layer (the present features), and the deviations lie.
MEANS = slice(0, sum(STAGES.values()))
PRESENT = slice(MEANS.stop, MEANS.stop + LAST)
DEVIATIONS = slice(PRESENT.stop, PRESENT.stop + MEANS.stop)

Features = npt.NDArray[np.float16]


def embedder() -> Callable[[Sequence[Image]], Features]:
    """Return what makes (B, D) of B tiles of one size."""
    net = fold_norms(classifier())

    @torch.inference_mode()
    def embed(tiles: Sequence[Image]) -> Features:
        pixels = torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2).float() / 127.5 - 1
        maps = [net.bn1(net.conv_stem(pixels))]
        for stage in net.blocks:
            maps.append(stage(maps[-1]))
        last = net.bn2(net.conv_head(maps[-1]))
        chosen = [maps[1 + stage] for stage in STAGES]
        means = [one.mean(dim=(2, 3)) for one in (*chosen, last)]
        deviations = [one.std(dim=(2, 3), correction=0) for one in chosen]
        return torch.cat([*means, *deviations], dim=1).numpy().astype(np.float16)

    return embed


def embed_with_views(embed: Callable[[Sequence[Image]], Features], tiles: Sequence[Image], seed: int) -> Features:
    """(n, 1 + VIEWS, D)."""
    rng = np.random.default_rng(seed)
    return np.stack([embed([tile, *(view(rng, tile) for _ in range(VIEWS))]) for tile in tiles])


def main(work: Path, data: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    embed = embedder()
    makers: dict[str, Callable[[], Features]] = {
        "valid": lambda: np.concatenate([embed([tile]) for tile in lymph_node(data, "valid")[0]]),
        "glas": lambda: np.concatenate([embed([tile]) for tile, _ in glas(data / "glas")]),
        "train": lambda: embed_with_views(embed, lymph_node(data, "train")[0], 1),
        "colon": lambda: embed_with_views(embed, list(colon(data)), 2),
    }
    for name, make in makers.items():
        path = work / f"{name}.npy"
        if not path.exists():
            np.save(path.with_suffix(".part.npy"), make())
            path.with_suffix(".part.npy").rename(path)
        print(name, np.load(path, mmap_mode="r").shape, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    main(chosen.work, chosen.data)
