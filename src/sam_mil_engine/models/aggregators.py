"""The aggregators: what makes one prediction of all patches of a slide."""

from __future__ import annotations

from functools import partial

from . import recipes
from .card import Deviation, ModelCard

_aggregator = partial(ModelCard, kind="aggregator")
_POOLINGS = (
    "Wang et al., Revisiting multiple instance neural networks, Pattern Recognition 74, 2018, arXiv:1610.02501"
)
_CLAM = (
    "Lu et al., Data-efficient and weakly supervised computational pathology on whole-slide images,"
    " Nature Biomedical Engineering 5, 2021, arXiv:2004.09666"
)

#: Every aggregator by its name; to add an aggregator, add its card here. The builder is a subclass of
#: :class:`~sam_mil_engine.mil.aggregator.Aggregator`.
AGGREGATORS: dict[str, ModelCard] = {
    card.name: card
    for card in (
        _aggregator(
            name="max",
            what="the largest logit of a patch",
            builder="sam_mil_engine.mil.pooling:MaxPooling",
            citation=_POOLINGS,
        ),
        _aggregator(
            name="mean",
            what="the mean of all patches",
            builder="sam_mil_engine.mil.pooling:MeanPooling",
            citation=_POOLINGS,
        ),
        _aggregator(
            name="abmil",
            what="AB-MIL, pooling by attention; with gates where model.gated is set",
            builder="sam_mil_engine.mil.abmil:AbMil",
            recipe=recipes.ABMIL,
            citation="Ilse et al., Attention-based deep multiple instance learning, ICML 2018, arXiv:1802.04712",
        ),
        _aggregator(
            name="dsmil",
            what="DSMIL, the most suspicious patch and what is like it",
            builder="sam_mil_engine.mil.dsmil:DsMil",
            recipe=recipes.DSMIL,
            deviations=(
                Deviation(
                    paper="the query is W_q h",
                    released="tanh(W_2 relu(W_1 h))",
                    default="as in the paper",
                    select="--set model.dsmil.query_layers=tanh",
                ),
                Deviation(
                    paper="the value is W_v h",
                    released="h itself",
                    default="as in the paper",
                    select="--set model.dsmil.value_layers=identity",
                ),
                Deviation(
                    paper="the slide's score is the mean of both streams",
                    released="the bag stream alone",
                    default="as in the paper",
                    select="--set model.dsmil.score=bag",
                ),
            ),
            citation="Li et al., Dual-stream multiple instance learning network for whole slide image"
            " classification with self-supervised contrastive learning, CVPR 2021, arXiv:2011.08939",
        ),
        _aggregator(
            name="clam-sb",
            what="CLAM, attention that also learns from its most and least attended patches; one branch",
            builder="sam_mil_engine.mil.clam:ClamSb",
            recipe=recipes.CLAM,
            citation=_CLAM,
        ),
        _aggregator(
            name="clam-mb",
            what="the same with a branch of attention for each class",
            builder="sam_mil_engine.mil.clam:ClamMb",
            recipe=recipes.CLAM,
            citation=_CLAM,
        ),
        _aggregator(
            name="transmil",
            what="TransMIL, a transformer over the patches",
            builder="sam_mil_engine.mil.transmil:TransMil",
            recipe=recipes.TRANSMIL,
            citation="Shao et al., TransMIL: transformer based correlated multiple instance learning for whole"
            " slide image classification, NeurIPS 2021, arXiv:2106.00908",
        ),
        _aggregator(
            name="dtfd",
            what="DTFD-MIL, two tiers of attention over pseudo-bags: AFS, MaxS, MaxMinS, MAS",
            builder="sam_mil_engine.mil.dtfd:Dtfd",
            recipe=recipes.DTFD,
            deviations=(
                Deviation(
                    paper="two classes: instances are ranked by the probability of the positive one (Eq. 7-9)",
                    released="beyond two classes too, by that of the last one; the activation is not multiplied by"
                    " the size of the pseudo-bag",
                    default="beyond two classes, by that of the class that tier 1 predicts for the pseudo-bag",
                ),
            ),
            citation="Zhang et al., DTFD-MIL: double-tier feature distillation multiple instance learning for"
            " histopathology whole slide image classification, CVPR 2022, arXiv:2203.12081",
        ),
        _aggregator(
            name="ibmil",
            what="IBMIL, a backdoor adjustment on top of abmil or mean",
            builder="sam_mil_engine.mil.ibmil:IbMil",
            recipe=recipes.IBMIL,
            citation="Lin et al., Interventional bag multi-instance learning on whole-slide pathological images,"
            " CVPR 2023, arXiv:2303.06873",
        ),
        _aggregator(
            name="mhim",
            what="MHIM-MIL, a teacher hides the easy patches from abmil or transmil",
            builder="sam_mil_engine.mil.mhim:Mhim",
            recipe=recipes.MHIM,
            citation="Tang et al., Multiple instance learning framework with masked hard instance mining for whole"
            " slide image classification, ICCV 2023, arXiv:2307.15254",
        ),
        _aggregator(
            name="srmil",
            what="SRMIL, neighbours reconstruct what is masked",
            builder="sam_mil_engine.mil.srmil:SrMil",
            recipe=recipes.SRMIL,
            deviations=(
                Deviation(
                    paper="every layer of the graph has a residual",
                    released="none where both widths agree: in the second layer of the encoder and the first of the"
                    " decoder",
                    default="as in the paper",
                ),
            ),
            citation="Wu et al. 2026, arXiv:2602.19487",
        ),
        _aggregator(
            name="sam-mil",
            title="SAM-MIL",
            what="SAM-MIL, segments guide the mask, join as tokens and agree in attention",
            builder="sam_mil_engine.mil.sam_mil:SamMil",
            recipe=recipes.SAM_MIL,
            deviations=(
                Deviation(
                    paper="the masked bag has a loss of its own",
                    released="its logits are overwritten by those of the last pseudo-bag",
                    default="as in the paper",
                ),
                Deviation(
                    paper="group tokens are never masked",
                    released="the masked bag loses all of them",
                    default="as in the paper",
                ),
                Deviation(
                    paper="the consistency trains the attention",
                    released="it is computed on a detached copy and trains nothing",
                    default="as in the paper",
                ),
            ),
            citation="Fang et al., SAM-MIL: a spatial contextual aware multiple instance learning approach for"
            " whole slide image classification, ACM Multimedia 2024, arXiv:2407.17689",
        ),
    )
}
