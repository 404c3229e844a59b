"""Whole files of every format, made by the engine's own writers; real ones where the data folder has them."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

N, SIDE, WIDTH = 12, 64, 5


class Seeds:
    """Whole files.

    Parameters
    ----------
    folder
        Where files that are made go.
    data
        The folder of real files, or None.
    """

    def __init__(self, folder: Path, data: Path | None):
        self.folder, self.data = folder, data

    def real(self, *patterns: str) -> list[Path]:
        return [] if self.data is None else [path for one in patterns for path in sorted(self.data.glob(one))]

    def bags(self, name: str) -> list[Path]:
        from sam_mil_engine.bag import clam, csv_files, native, sam_mil, trident

        place, project = self.folder / name, self._project()
        (path,) = native.bags_in(project)
        if name == "native":
            return [path]
        found = native.read(native.find(project)[0], _known())
        bag, grid = found.bag, found.grid
        if name == "stamp":
            return [self._stamp(place)]
        if name == "clam":
            clam.write(place, bag, grid)
        elif name == "trident":
            trident.write(place, replace(bag, attrs={**bag.attrs, "mpp": (0.5, 0.5)}), grid)
            return [next(place.iterdir())]
        elif name == "sam-mil":
            sam_mil.write(place, bag, grid, segments=found.segments)
        else:
            short = replace(bag, features=bag.features[:, :WIDTH].copy(), groups=None, group_features=None)
            return [csv_files.write(place, short)[0]]
        return [place]

    def _project(self) -> Path:
        """Process one small slide, once; its features are made narrow, so that mutations meet more than numbers."""
        from sam_mil_engine import process_slide
        from sam_mil_engine.bag import h5
        from sam_mil_engine.settings import ProcessSettings, SegmentSettings, TileSettings

        project = self.folder / "project"
        if not (project / "bags").exists():
            settings = ProcessSettings(
                tiles=TileSettings(patch_size=SIDE), segments=SegmentSettings(segmenter="regions", max_side=256)
            )
            done = process_slide(self.slide(), project, settings=settings)
            bag = h5.read_bag(done.bag_path)
            with h5.edit_bag(done.bag_path) as file:
                for place, values in (("features", bag.features), ("groups/features", bag.group_features)):
                    attrs = dict(file[place].attrs)
                    del file[place]
                    file[place] = values[:, :WIDTH]
                    file[place].attrs.update(attrs)
            shutil.copyfile(done.bag_path, done.bag_path.with_suffix(".copy"))  # without the holes of the edit
            done.bag_path.with_suffix(".copy").replace(done.bag_path)
        return project

    def slide(self) -> Path:
        import cv2
        import tifffile

        path = self.folder / "s0.tiff"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            image = np.full((384, 448, 3), 244, np.uint8)
            cv2.ellipse(image, (224, 192), (180, 150), 0, 0, 360, (225, 150, 190), -1)
            cv2.circle(image, (200, 180), 60, (120, 60, 150), -1)
            options = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate"}
            tifffile.imwrite(path, image, resolution=(20000, 20000), resolutionunit=3, **options)
        return path

    def _stamp(self, place: Path) -> Path:
        import h5py

        place.mkdir(parents=True, exist_ok=True)
        with h5py.File(place / "s0.h5", "w") as file:
            corners = np.stack([np.arange(N) % 4, np.arange(N) // 4], axis=1) * 32.0
            file["coords"], file["feats"] = corners.astype("f4"), np.ones((N, WIDTH), "f2")
            about = {"stamp_version": "2.5.0", "extractor": "uni2", "unit": "um", "feat_type": "tile"}
            for key, value in {**about, "tile_size_um": 32.0, "tile_size_px": 32}.items():
                file.attrs[key] = value
        return place / "s0.h5"

    def pickles(self) -> list[Path]:
        (folder,) = self.bags("sam-mil")
        plain = self.folder / "plain.pkl"
        mask = np.zeros((24, 28), bool)
        mask[3:9, 4:20] = True
        item = {"segmentation": mask, "area": 96, "bbox": [4, 3, 16, 6], "predicted_iou": 0.75}
        item |= {"point_coords": [[1.5, 2.5]], "stability_score": 0.5, "crop_box": [0, 0, 28, 24]}
        info = {"patch_size": SIDE, "vis_level": 0, "downsample_ratio": 4, "w": np.int32(112), "h": np.int32(96)}
        info |= {"start_x": np.int32(0), "start_y": np.int32(0), "stop_x": np.int32(112), "stop_y": np.int32(96)}
        plain.write_bytes(pickle.dumps([info, item, {**item, "segmentation": mask[::-1].copy()}], 4))
        return [plain, *sorted(folder.glob("segments/*.pkl"))]

    def tensors(self) -> list[Path]:
        from sam_mil_engine.bag.torch_files import save_pt

        save_pt(self.folder / "s0.pt", np.ones((N, WIDTH), np.float32))
        return [self.folder / "s0.pt"]

    def models(self) -> list[Path]:
        import torch

        from sam_mil_engine.mil.building import build_aggregator
        from sam_mil_engine.settings import ModelSettings
        from sam_mil_engine.training.checkpoint import load_model, save_model
        from sam_mil_engine.training.domain import FeatureDomain

        folder = self.folder / "model"
        if not folder.exists():
            demo = load_model("demo", device="cpu")
            torch.manual_seed(0)
            settings = ModelSettings(name="abmil", hidden=8, attention=4)
            domain = FeatureDomain.fit(
                [np.random.default_rng(0).normal(size=(50, WIDTH)).astype("f4")], components=2
            )
            small = replace(
                demo,
                model=build_aggregator(settings, dim=WIDTH, n_classes=2),
                expects=replace(demo.expects, dim=WIDTH),
                domain=domain,
            )
            save_model(folder, small)
        return [folder]

    def _written(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def labels(self) -> list[Path]:
        rows = "\n".join(
            f"s{n},{('normal', 'tumour')[n % 2]},p{n // 2},{('train', 'val', 'test')[n % 3]}" for n in range(12)
        )
        ours = self._written("labels.csv", f"slide_id,label,patient_id,split\n{rows}\n")
        return [ours, *self.real("tables/clam/dataset_csv__tumor_subtyping*.csv")]

    def splits(self) -> list[Path]:
        rows = "\n".join(f"{n % 2},{n % 3},{('train', 'val', 'test')[n % 3]},s{n}" for n in range(12))
        ours = self._written("splits.csv", f"repeat,fold,split,slide_id\n{rows}\n")
        return [ours, *self.real("tables/clam/splits__*splits_0.csv", "tables/clam/splits__*bool.csv")]

    def slide_tables(self) -> list[Path]:
        slide = self.slide()
        rows = "\n".join(f"s{n},{slide},0.5,{preset}" for n, preset in enumerate(("biopsy", "", "resection")))
        return [self._written("slides.csv", f"slide_id,path,mpp,preset\n{rows}\n")]

    def configs(self) -> list[Path]:
        process = '[tiles]\npatch_size = 256\nmpp = 0.5\n[segments]\nsegmenter = "regions"\nmax_side = 1024\n'
        train = 'epochs = 20\nlearning_rate = 0.0001\nseed = 1\n[model]\nname = "sam-mil"\nhidden = 64\n'
        return [self._written("process.toml", process), self._written("train.toml", train)]

    def outlines(self) -> list[Path]:
        ring = [[0, 0], [600, 0], [600.5, 700], [0, 650], [0, 0]]
        feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
        feature["properties"] = {"classification": {"name": "tumour", "color": [200, 0, 0]}, "name": "a"}
        content = {"type": "FeatureCollection", "features": [feature, feature]}
        return [self._written("outlines.geojson", json.dumps(content))]

    def dsa(self) -> list[Path]:
        line = {"type": "polyline", "closed": True, "points": [[0, 0, 0], [900, 0, 0], [900, 800, 0]]}
        box = {"type": "rectangle", "center": [500, 400, 0], "width": 300, "height": 200, "rotation": 0.3}
        elements = [line | {"label": {"value": "a"}, "fillColor": "rgba(0,0,0,0)", "group": "tumour"}, box]
        return [self._written("dsa.json", json.dumps({"annotation": {"name": "x", "elements": elements}}))]

    def zarrs(self) -> list[Path]:
        import zarr

        found = []
        for version, style in (("0.4", 2), ("0.5", 3)):
            path = self.folder / f"slide-{style}.zarr"
            found.append(path)
            if path.exists():
                continue
            group, datasets = zarr.open_group(path, mode="w", zarr_format=style), []
            for number, side in enumerate((128, 64)):
                pixels = np.full((3, side, side), 200, np.uint8)
                group.create_array(str(number), data=pixels, chunks=(3, 32, 32))
                scale = {"type": "scale", "scale": [1.0, 0.5 * 2**number, 0.5 * 2**number]}
                datasets.append({"path": str(number), "coordinateTransformations": [scale]})
            axes = [{"name": "c", "type": "channel"}]
            axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
            about = {"multiscales": [{"version": version, "axes": axes, "datasets": datasets, "name": "slide"}]}
            group.attrs.update({"ome": {"version": version, **about}} if style == 3 else about)
        return found

    def pictures(self) -> list[Path]:
        import cv2

        image = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
        paths = [self.folder / "a.jpg", self.folder / "a.png"]
        for path in paths:
            cv2.imwrite(str(path), image)
        return paths


def _known() -> object:
    from sam_mil_engine.bag.foreign import Known

    return Known(mpp=(0.5, 0.5))
