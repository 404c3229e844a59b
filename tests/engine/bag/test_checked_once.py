"""A bag that did not change is checked once, and one that did is checked again."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from sam_mil_engine.bag import h5, hdf5_checks
from sam_mil_engine.errors import BagError


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the groups that were checked."""
    done: list[str] = []
    check = hdf5_checks._check_group

    def noted(group: h5py.Group, path: Path, *, seen: set[int]) -> None:
        done.append(group.name)
        check(group, path, seen=seen)

    monkeypatch.setattr(hdf5_checks, "_check_group", noted)
    return done


def bag(path: Path) -> Path:
    with h5.edit_bag(path) as file:
        h5.put_attributes(file, {"slide_id": path.stem})
    return path


def test_a_bag_is_checked_when_it_is_new_and_when_it_changed(tmp_path: Path, checks: list[str]) -> None:
    path = bag(tmp_path / "a.h5")
    for _ in range(3):
        assert h5.read_attributes(path)["slide_id"] == "a"
    assert checks == ["/"]
    with h5.edit_bag(path) as file:
        h5.mark_stage(file, "tissue", "key")
    assert h5.read_stages(path) == {"tissue": "key"}
    assert checks == ["/", "/"]


def test_a_link_that_another_program_adds_to_a_known_bag_is_refused(tmp_path: Path) -> None:
    path, other = bag(tmp_path / "a.h5"), bag(tmp_path / "b.h5")
    assert h5.read_stages(path) == {}
    with h5py.File(path, "r+") as file:
        file["coords"] = h5py.ExternalLink(str(other), "/")
    with pytest.raises(BagError, match="/coords is a link to somewhere else"):
        h5.read_stages(path)
