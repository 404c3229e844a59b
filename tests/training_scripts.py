"""Import the scripts of a training's folder, and forget them: other folders have scripts of the same names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1] / "training"


@contextmanager
def training_scripts(folder: str, *names: str) -> Iterator[list[ModuleType]]:
    """Scripts of ``training/FOLDER`` as modules, in the order of the names."""
    own = [path.stem for path in (ROOT / folder).glob("*.py")]
    before = {name: sys.modules.pop(name) for name in own if name in sys.modules}
    sys.path.insert(0, str(ROOT / folder))
    try:
        yield [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(str(ROOT / folder))
        for name in own:
            sys.modules.pop(name, None)
        sys.modules.update(before)
