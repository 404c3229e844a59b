"""The numbers of every epoch, for TensorBoard during training; ``history.csv`` has the same numbers at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import SettingsError


def check_tensorboard() -> None:
    """Raise :class:`SettingsError` where TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        raise SettingsError(
            "TensorBoard is not installed",
            where="TrainSettings.tensorboard",
            hint="pip install 'napari-sam-mil[tensorboard]', or leave the option out: history.csv has the same",
            window_hint="Train without TensorBoard: history.csv has the same",
        )


@contextmanager
def epoch_log(folder: Path, *, wanted: bool) -> Iterator[Callable[[dict[str, Any]], None] | None]:
    """Yield a function that takes the row of an epoch and writes it into ``folder``; None if it is not wanted."""
    if not wanted:
        yield None
        return
    check_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:

        def write(row: dict[str, Any]) -> None:
            for name, value in row.items():
                if isinstance(value, float):
                    writer.add_scalar(name.replace("_", "/", 1), value, row["epoch"])
            writer.flush()

        yield write
