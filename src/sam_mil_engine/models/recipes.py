"""How each aggregator's paper, or the code released with it, trains: the recipe ``paper``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The training of one method.

    Attributes
    ----------
    settings
        Fields of :class:`~sam_mil_engine.settings.TrainSettings` by name.
    model
        Fields of :class:`~sam_mil_engine.settings.ModelSettings` by name, where the loss has weights of its own.
    source
        Where they stand.
    differs
        What the source does otherwise and no setting expresses, or nothing.
    """

    settings: Mapping[str, object]
    model: Mapping[str, object] = field(default_factory=dict)
    source: str
    differs: str = ""


ABMIL = Recipe(
    settings={
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "schedule": "constant",
        "weight_decay": 5e-4,
        "epochs": 100,
        "patience": 0,
    },
    source="paper, appendix, histopathology images",
    differs="the paper keeps the epoch with the lowest validation error and loss",
)
DSMIL = Recipe(
    settings={
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "schedule": "cosine",
        "last_rate": 5e-6,
        "beta1": 0.5,
        "beta2": 0.9,
        "weight_decay": 1e-3,
        "epochs": 50,
        "patience": 10,
        "min_epochs": 0,
        "best_by": "auc",
    },
    source="code, train_tcga.py",
    differs="the code stops and keeps an epoch by the mean of accuracy and AUC, and starts from orthogonal weights",
)
CLAM = Recipe(
    settings={
        "optimizer": "adam",
        "learning_rate": 2e-4,
        "schedule": "constant",
        "weight_decay": 1e-5,
        "epochs": 200,
        "patience": 20,
        "min_epochs": 50,
        "balance": "sampling",
    },
    source="code, README and utils/core_utils.py",
)
TRANSMIL = Recipe(
    settings={
        "optimizer": "lookahead-radam",
        "learning_rate": 2e-4,
        "schedule": "constant",
        "weight_decay": 1e-5,
        "decay_biases": False,
        "accumulate": 2,
        "epochs": 200,
        "patience": 10,
        "min_epochs": 0,
    },
    source="code, Camelyon/TransMIL.yaml and MyOptimizer",
)
DTFD = Recipe(
    settings={
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "schedule": "step",
        "step_at": 0.5,
        "step_factor": 0.2,
        "weight_decay": 1e-4,
        "clip": 5.0,
        "epochs": 200,
        "patience": 0,
        "best_by": "auc",
        "best_from": 0.8,
    },
    source="code, Main_DTFD_MIL.py",
)
IBMIL = Recipe(
    settings={
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "schedule": "cosine",
        "last_rate": 5e-6,
        "beta1": 0.5,
        "beta2": 0.9,
        "weight_decay": 1e-4,
        "epochs": 50,
        "patience": 0,
        "best_by": "auc",
    },
    source="code, train_tcga.py",
    differs="the code keeps an epoch by the mean of accuracy and AUC, on the test slides",
)
MHIM = Recipe(
    settings={
        "optimizer": "adam",
        "learning_rate": 2e-4,
        "schedule": "cosine",
        "weight_decay": 1e-5,
        "epochs": 200,
        "best_by": "auc",
    },
    source="code, main.py of version 1",
)
SRMIL = Recipe(
    settings={
        "optimizer": "adamw",
        "learning_rate": 5e-4,
        "schedule": "cosine",
        "weight_decay": 1e-5,
        "epochs": 100,
        "patience": 0,
        "best_by": "auc",
        "best_from": 0.6,
    },
    source="code, srmil/config.py and srmil/trainer.py",
    differs="the code keeps an epoch by accuracy, then by AUC",
)
SAM_MIL = Recipe(
    settings={
        "optimizer": "adam",
        "learning_rate": 2e-4,
        "schedule": "cosine",
        "weight_decay": 1e-5,
        "epochs": 200,
        "best_by": "auc",
    },
    model={"consistency_weight": 1000.0, "consistency_patches": 0},
    source="code, options.py and main.py",
)
