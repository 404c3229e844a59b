"""Bags kept in half precision within a budget, and read again beyond it: the same numbers."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from cohorts import witness_bag, write_bag

from sam_mil_engine.bag.h5 import read_bag
from sam_mil_engine.errors import BagError
from sam_mil_engine.progress import Progress
from sam_mil_engine.settings import TrainSettings
from sam_mil_engine.training import bag_store
from sam_mil_engine.training.bag_store import bags_of, in_order, n_bytes
from sam_mil_engine.training.data import LoadedBags, load_bags, match_bags
from sam_mil_engine.training.labels import read_labels
from sam_mil_engine.training.loop import train

pytestmark = pytest.mark.usefixtures("one_thread")
Cohort = tuple[Path, Path]


def loaded(cohort: Cohort, **options: object) -> LoadedBags:
    return load_bags(match_bags(read_labels(cohort[1]), cohort[0]), **options)


def test_half_precision_halves_the_memory_and_full_is_used(cohort: Cohort) -> None:
    half, full = loaded(cohort, dtype="float16"), loaded(cohort, dtype="float32")
    tokens = sum(example.bag.tokens.numel() for example in full.pick([f"s{i:02d}" for i in range(40)]))
    assert full.store.cached_bytes - half.store.cached_bytes == 2 * tokens
    (example,) = half.pick(["s03"])
    assert example.bag.tokens.dtype == torch.float32
    bag = read_bag(cohort[0] / "s03.h5")
    np.testing.assert_array_equal(example.bag.features.numpy(), bag.features.astype(np.float16).astype(np.float32))
    (exact,) = full.pick(["s03"])
    np.testing.assert_array_equal(exact.bag.features.numpy(), bag.features)


def test_the_budget_holds_and_numbers_do_not_depend_on_it(cohort: Cohort) -> None:
    all_kept = loaded(cohort, dtype="float16")
    one = n_bytes(all_kept.store._read("s00"))
    told: list[Progress] = []
    some = loaded(cohort, dtype="float16", budget=10.5 * one, progress=told.append)
    assert some.store.n_cached == 10
    assert some.store.cached_bytes <= 10.5 * one
    assert told[-1].message.startswith("10 cached in memory")
    none = loaded(cohort, dtype="float16", budget=0)
    assert none.store.n_cached == 0
    slides = [f"s{i:02d}" for i in (39, 0, 12, 5, 39)]
    for bags in (some, none):
        order = [4, 2, 0, 1, 3]
        found = list(in_order(bags.pick(slides), order))
        assert [example.slide_id for example in found] == [slides[k] for k in order]
        for example in found:
            expected = all_kept.store.get(example.slide_id)
            assert torch.equal(example.bag.tokens, expected.bag.tokens)
            assert example.label == expected.label


def test_what_is_not_kept_is_read_by_a_thread_and_only_when_needed(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    bags = loaded(cohort, dtype="float16", budget=0)
    read: list[tuple[str, bool]] = []

    def spy(path: Path) -> object:
        read.append((path.stem, threading.current_thread() is threading.main_thread()))
        return read_bag(path)

    monkeypatch.setattr(bag_store, "read_bag", spy)
    stream = in_order(bags.pick([f"s{i:02d}" for i in range(20)]), range(20))
    first = next(stream)
    assert first.slide_id == "s00"
    stream.close()
    assert len(read) <= bag_store.READ_AHEAD + 2, "no more than a few bags are in memory"
    assert not any(main for _, main in read)
    read.clear()
    assert len(list(in_order(bags.pick(["s01", "s02"]), [1, 0, 1]))) == 3
    assert [name for name, _ in read] == ["s02", "s01", "s02"]


def test_bags_alone_are_a_sequence(cohort: Cohort) -> None:
    bags = bags_of(loaded(cohort, budget=0).pick(["s00", "s01", "s02"]))
    assert len(bags) == 3
    assert [len(bag) for bag in bags] == [60, 60, 60]
    assert torch.equal(bags[1].tokens, list(bags)[1].tokens)
    assert torch.equal(bags[1:][0].tokens, bags[1].tokens)


def test_a_training_that_reads_every_bag_again_gives_the_same_files(cohort: Cohort, tmp_path: Path) -> None:
    values = {"model": {"name": "sam-mil", "hidden": 16, "attention": 8}, "epochs": 3, "device": "cpu"}
    for name, gib in (("kept", 1.0), ("read", 0.0)):
        train(*cohort, tmp_path / name, settings=TrainSettings.parse({**values, "cache_gib": gib}))
    for file in ("predictions.csv", "history.csv", "fold-0-0/model.safetensors"):
        assert (tmp_path / "kept" / file).read_bytes() == (tmp_path / "read" / file).read_bytes()
    full = TrainSettings.parse({**values, "cache_dtype": "float32"})
    train(*cohort, tmp_path / "full", settings=full)
    assert (tmp_path / "full" / "history.csv").read_bytes() != (tmp_path / "kept" / "history.csv").read_bytes()


def test_a_feature_too_large_for_half_precision_is_refused(tmp_path: Path) -> None:
    for i, positive in enumerate([False, True]):
        bag = witness_bag(f"s{i}", positive, seed=i, n=12)
        if positive:
            bag.features[4, 1] = 1e5
        write_bag(tmp_path, bag)
    (tmp_path / "labels.csv").write_text("slide_id,label\ns0,a\ns1,b\n")
    cohort = (tmp_path, tmp_path / "labels.csv")
    with pytest.raises(BagError, match=r"too large for torch.float16") as caught:
        loaded(cohort, dtype="float16")
    assert str(caught.value.where).endswith("s1.h5")
    assert loaded(cohort, dtype="float32").store.n_cached == 2


def test_tensorboard_holds_every_epoch(cohort: Cohort, tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    values = {"model": {"name": "mean", "hidden": 8}, "epochs": 3, "device": "cpu", "tensorboard": True}
    result = train(*cohort, tmp_path, settings=TrainSettings.parse(values))
    events = reading.EventAccumulator(str(tmp_path / "tensorboard" / "fold-0-0")).Reload()
    found = [event.value for event in events.Scalars("val/loss")]
    np.testing.assert_allclose(found, result.history["val_loss"], rtol=1e-6)


def test_without_tensorboard_the_option_is_refused_before_training(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sam_mil_engine.errors import SettingsError
    from sam_mil_engine.training import epoch_log

    monkeypatch.setattr(epoch_log, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"napari-sam-mil\[tensorboard\]"):
        train(*cohort, tmp_path / "run", settings=TrainSettings(tensorboard=True))
    assert not (tmp_path / "run").exists()
