"""Disks that are full, fail, or may not be written (the fault table), under whole runs."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cheap_models import SETTINGS, use_cheap_models
from whole_runs import run, states

import sam_mil_engine.process.project
from sam_mil_engine.bag import h5, hdf5_writing
from sam_mil_engine.bag.hdf5_writing import written_hdf5
from sam_mil_engine.errors import ProjectError
from sam_mil_engine.process.project import Project
from sam_mil_engine.process.runner import process_slide
from tiny_slides import write_tiny_slide


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    use_cheap_models(put=monkeypatch.setattr)


@contextmanager
def small_disk(folder: Path, *, mebibytes: int) -> Iterator[Path]:
    """A file system of its own in memory; only root may mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    root = sys.platform == "linux" and os.geteuid() == 0
    if not root or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root on Linux only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, *, leave: int) -> Path:
    """Fill the disk but for ``leave`` bytes."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        file.write(bytes(max(0, shutil.disk_usage(disk).free - leave)))
    return ballast


def test_a_full_disk_at_every_stage(tmp_path: Path) -> None:
    """However little room is left: an error with figures, no half file, and the next run goes on to the same bag.

    Where not even `process.csv` has room its line stays `running`, and the next run corrects it.
    """
    slide = write_tiny_slide(tmp_path / "s.tiff")
    whole = process_slide(slide, tmp_path / "whole", settings=SETTINGS).bag_path.read_bytes()
    reached: set[frozenset[str]] = set()
    with small_disk(tmp_path / "disk", mebibytes=4) as disk:
        project = disk / "project"
        told = set[str]()
        for leave in (12, 20, 28, 36, 48, 64, 96, 128):
            ballast = fill(disk, leave=leave * 1024)
            item = run([slide], project)["s"]
            if item.error is not None:
                assert isinstance(item.error, ProjectError)
                assert re.search(r"the disk is full: .* are needed, .* are free", str(item.error))
                assert str(disk) in str(item.error)
                row = Project(project).rows()["s"]
                assert row.state == "running" or "the disk is full" in row.error
            assert not list(project.rglob("*.tmp"))
            bag = project / "bags" / "s.h5"
            told |= set(states(project).values())
            reached.add(frozenset(h5.read_stages(bag)) if bag.exists() else frozenset())
            ballast.unlink()
            if leave == 128:
                assert run([slide], project)["s"].error is None
        assert "failed" in told
        assert len(reached) >= 3, f"the disk was full at few stages only: {reached}"
        assert bag.read_bytes() == whole
        assert states(project) == {"s": "done"}


class FailingFile(io.FileIO):
    """Room for 64 KiB, then the error of the test."""

    number = errno.ENOSPC

    def write(self, data: Any) -> int:
        if self.tell() + len(memoryview(data)) > 64 * 1024:
            raise OSError(self.number, os.strerror(self.number))
        return super().write(data)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_hdf5_survives_a_failing_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The library never hears of it, so that it neither crashes now nor while the process ends."""
    path = tmp_path / "x.h5"
    with written_hdf5(path) as file:
        file["old"] = np.arange(10)
    before = path.read_bytes()

    class Guarded(hdf5_writing._GuardedFile, FailingFile):
        pass

    monkeypatch.setattr(FailingFile, "number", number)
    monkeypatch.setattr(hdf5_writing, "_GuardedFile", Guarded)
    words = r"the disk is full: 7\.\d MiB are needed" if number == errno.ENOSPC else "cannot be written"
    with pytest.raises(ProjectError, match=words), written_hdf5(path, copy_of=path) as file:
        file["new"] = np.random.default_rng(0).random(10**6)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["x.h5"]


def test_a_disk_that_is_full_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slides = [write_tiny_slide(tmp_path / f"s{number}.tiff", seed=number) for number in range(2)]
    write = Path.write_bytes

    def no_room(path: Path, data: bytes) -> int:
        if path.name.startswith(".s0.jpg"):
            write(path, data[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", no_room)
        results = run(slides, tmp_path / "p")
    assert "the disk is full" in str(results["s0"].error)
    assert results["s1"].error is None
    assert states(tmp_path / "p") == {"s0": "failed", "s1": "done"}
    assert not list((tmp_path / "p").rglob("*.tmp"))
    assert run(slides, tmp_path / "p")["s0"].error is None
    assert states(tmp_path / "p") == {"s0": "done", "s1": "done"}
    assert (tmp_path / "p" / "masks" / "s0.jpg").stat().st_size > 100


def test_a_read_only_disk(tmp_path: Path) -> None:
    """Said once, before the first slide; what is there can still be read."""
    slide = write_tiny_slide(tmp_path / "s.tiff")
    with small_disk(tmp_path / "disk", mebibytes=4) as disk:
        assert run([slide], disk / "project")["s"].error is None
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for project in (disk / "project", disk / "new"):
            with pytest.raises(ProjectError, match=r"cannot write here \(Read-only file system\)") as caught:
                run([slide], project)
            assert caught.value.hint == "Choose a folder that you may write to"
        assert states(disk / "project") == {"s": "done"}
        assert h5.read_bag(disk / "project" / "bags" / "s.h5").features.shape[1] == 6


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where no disk can be mounted."""
    slide = write_tiny_slide(tmp_path / "s.tiff")
    run([slide], tmp_path / "p")

    def refuse(_lock: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(sam_mil_engine.process.locks.FileLock, "acquire", refuse)
    with pytest.raises(ProjectError, match="cannot write here"):
        run([slide], tmp_path / "p")
