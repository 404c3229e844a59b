"""Every command that a page shows in a block of code is run as it stands, or the reason why not is given here.

All commands of a page run one after the other in one folder. Slides are tiny; but for ``REAL`` commands, encoder
and segmenter are cheap stand-ins, and training stops after two epochs: words are tested here, not numbers.
"""

from __future__ import annotations

import re
from pathlib import Path

import cheap_models
import pytest

from documents import ELIDED, Shown, shown_commands
from prepared_pages import PAGES, call
from sam_mil_engine import devices
from sam_mil_engine.training import fitting

BLOCKS = [shown for shown in shown_commands() if shown.in_block]
#: These need a bundled classifier, and so the encoder that comes with the package.
REAL = (
    "README.md: process slide.svs",
    "README.md: compare-groups study/bags/slide.h5",
    "docs/qupath.md: predict auto",
)
#: What begins with this is not run -> why.
NOT_RUN = {
    r"docs/cluster-": "needs a cluster; tests/engine/cluster runs schedulers and workers on this machine",
    r"docs/models.md: models (check|get) uni2-h": "gated weights; tests/engine/models asks a server here",
    r"docs/models.md: process .* --encoder uni2-h": "needs the gated weights",
    r"docs/results.md:": "needs CAMELYON16, ViT-H and a GPU",
    r"docs/training.md: cross-validate --config": "tests/engine/training/test_train_commands.py runs it",
    r"(CONTRIBUTING|docs/own-model).md: (process|train)": "tests/engine/models/test_methods_of_others.py",
    r"\S+: [\w-]+ .*\.\.\.": "a line that leaves something out; test_documents.py parses it",
}


def name_of(shown: Shown) -> str:
    return f"{shown.page}: {' '.join(shown.words)}"


def reason(shown: Shown) -> str | None:
    return next((why for pattern, why in NOT_RUN.items() if re.match(pattern, name_of(shown))), None)


RUN = {page: [one for one in BLOCKS if one.page == page and reason(one) is None] for page in PAGES}


def test_every_command_is_run_or_has_a_reason() -> None:
    run = {name_of(one) for commands in RUN.values() for one in commands}
    assert [str(one) for one in BLOCKS if reason(one) is None and name_of(one) not in run] == []
    assert all(ELIDED not in one.words for commands in RUN.values() for one in commands)
    stale = [pattern for pattern in NOT_RUN if not any(re.match(pattern, name_of(one)) for one in BLOCKS)]
    assert stale == []


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, commands in RUN.items() if commands])
def test_the_commands_of_a_page_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "cpu_count", lambda: 1)  # no child processes, which would load everything again
    monkeypatch.setattr(fitting, "should_stop", lambda rows, settings: len(rows) >= 2)
    with monkeypatch.context() as cheap:
        cheap_models.use_cheap_models(put=cheap.setattr)
        PAGES[page](tmp_path)
    for shown in RUN[page]:
        with monkeypatch.context() as cheap:
            if not name_of(shown).startswith(REAL):
                cheap_models.use_cheap_models(put=cheap.setattr)
            try:
                call(*shown.words)
            except AssertionError as error:
                pytest.fail(f"{shown}\n{error}")
