"""The bags of further encoders: tissue, patches and segments of the slide's own bag, features and groups of theirs.

``process --encoder A --encoder B`` writes ``bags/SLIDE.h5`` with the features of A, and ``bags-B/SLIDE.h5`` with
those of B: whole bags, which every command takes (``train --bags PROJECT/bags-B``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..bag import h5
from ..settings import STAGES
from .job import SlideJob, depends

#: The stages whose results every encoder has for itself; those of the others are taken over.
OWN_STAGES = ("features", "groups")


def follow(job: SlideJob, *, replacing: Callable[[Collection[str]], None]) -> None:
    """Take over from the slide's own bag what this one shares with it and does not hold yet.

    Parameters
    ----------
    job
        The slide with one of its further encoders.
    replacing
        Called before anything is written, with the stages of this bag that are invalid from now on.
    """
    main = job.project.bag(job.slide_id)
    there, here = h5.read_stages(main), h5.read_stages(job.bag)
    changed = [stage for stage in STAGES if stage not in OWN_STAGES and there.get(stage) != here.get(stage)]
    if not changed:
        return
    replacing([name for name in STAGES if name in here and any(depends(name, stage) for stage in changed)])
    with h5.edit_bag(job.bag) as file:
        for stage in changed:
            if stage in there:
                h5.copy_stage(main, file, stage)
