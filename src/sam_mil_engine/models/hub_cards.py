"""The card of an encoder on the Hugging Face hub, whatever library builds it."""

from __future__ import annotations

from .card import ModelCard
from .hub import PREFIX, Library
from .normalisation import NORMALISATIONS

#: Library -> what builds its models.
_BUILDERS: dict[Library, str] = {
    "timm": "sam_mil_engine.features.timm_models:load_from_hub",
    "transformers": "sam_mil_engine.features.transformers_models:load",
    "open_clip": "sam_mil_engine.features.open_clip_models:load",
    "conch": "sam_mil_engine.features.conch:load",
}
#: What most of them are trained on: squares of 224 pixels at 20x.
_SIDE, _MPP = 224, 0.5


def hub_card(
    name: str,
    repository: str,
    what: str,
    *,
    dim: int,
    licence: str,
    citation: str,
    gated: bool = False,
    library: Library = "timm",
    input_size: int = _SIDE,
    mpp: float | None = _MPP,
    normalisation: str = "ImageNet",
    **options: object,
) -> ModelCard:
    """Card of a published encoder; licence and access are those that its page states.

    ``hf:OWNER/NAME`` means the same encoder, and is what its bags are marked with.

    Parameters
    ----------
    name, what, dim, licence, citation, gated, input_size, mpp
        As :class:`~.card.ModelCard` has them.
    repository
        ``OWNER/NAME`` on the hub.
    library
        What builds it.
    normalisation
        Name of its normalisation (:data:`~.normalisation.NORMALISATIONS`).
    options
        Of the builder.
    """
    mean, std = NORMALISATIONS[normalisation]
    return ModelCard(
        name=name,
        kind="encoder",
        what=what,
        builder=_BUILDERS[library],
        options={"name": repository, "side": input_size, "mean": mean, "std": std, **options},
        aliases=(f"{PREFIX}{repository}",),
        source=f"https://huggingface.co/{repository}",
        licence=licence,
        citation=citation,
        repository=repository,
        library=library,
        gated=gated,
        needs="" if library == "timm" else library,
        extra="encoders" if library in {"transformers", "open_clip"} else "",
        input_size=input_size,
        dim=dim,
        mpp=mpp,
        normalisation=normalisation,
    )


def any_timm_card(repository: str) -> ModelCard:
    """Card of a model of timm on the hub of which nothing else is known."""
    return ModelCard(
        name=f"{PREFIX}{repository}",
        kind="encoder",
        what="a model of timm on the hub",
        builder=_BUILDERS["timm"],
        options={"name": repository},
        source=f"https://huggingface.co/{repository}",
        licence="see its page",
        repository=repository,
    )
