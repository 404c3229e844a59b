"""One run of ``soak.py`` in a process of its own, with faults that strike once."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Seconds after which a read counts as hung here; the engine waits ten minutes.
HUNG_S = 8.0
#: In the child that looks at slides first, this one crashes whoever opens it.
SITE = """
import os, sys
if any("first_look" in part for part in sys.orig_argv):
    import sam_mil_engine.slide.first_read as module
    read = module.read_some
    def read_or_crash(path):
        if path.stem.startswith("crash"):
            os.abort()
        return read(path)
    module.read_some = read_or_crash
"""


def once(fired: Path, name: str) -> bool:
    """Whether a fault has not struck yet; it has from now on."""
    try:
        (fired / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def fail_once(fired: Path, name: str, call: Callable[..., Any], error: BaseException) -> Callable[..., Any]:
    """Return ``call``, which fails in its fifth call, once over all runs."""
    count = 0

    def failing(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == 5 and once(fired, name):
            raise error
        return call(*arguments, **options)

    return failing


def main() -> None:
    slides, project, fired = (Path(argument) for argument in sys.argv[1:4])
    from sam_mil_engine import first_look
    from sam_mil_engine.bag.hdf5_writing import _GuardedFile
    from sam_mil_engine.features.torch_encoder import TorchEncoder
    from sam_mil_engine.process.batch import process_slides
    from sam_mil_engine.settings import ProcessSettings, SegmentSettings, TileSettings

    class FullOnce(_GuardedFile):
        def write(self, data: Any) -> int:
            if not self.failure and len(data) > 1000 and once(fired, "disk full"):
                self.failure = OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    if len(list(project.glob("bags/*.h5"))) >= 5:  # not the first ones
        import sam_mil_engine.bag.hdf5_writing as writing

        writing._GuardedFile = FullOnce  # type: ignore[misc]
    first_look.MOST_WAIT_S = HUNG_S
    TorchEncoder.encode = fail_once(  # type: ignore[method-assign]
        fired, "out of memory", TorchEncoder.encode, MemoryError("no memory left")
    )
    settings = ProcessSettings(
        tiles=TileSettings(patch_size=128), segments=SegmentSettings(segmenter="regions", max_side=512)
    )
    paths = [slides / name for name in (slides.parent / "names.txt").read_text(encoding="utf-8").splitlines()]
    for result in process_slides(paths, project, settings=settings, device="cpu"):
        print(result.slide_id, "failed" if result.error else "done", flush=True)


if __name__ == "__main__":
    main()
