"""``as_released``: what the released code of SAM-MIL, SRMIL and DTFD does otherwise, each shown by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.mil.aggregator import BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.mil.dtfd import fixed_pseudo_bags
from sam_mil_engine.mil.sam_mil import SamMil, pseudo_bags
from sam_mil_engine.settings import ModelSettings

pytestmark = pytest.mark.usefixtures("one_thread")
LABEL = torch.tensor(1)


def model(**options: object) -> SamMil:
    torch.manual_seed(0)
    small = {"name": "sam-mil", "hidden": 16, "attention": 8, "dropout": 0, "consistency_weight": 1000.0}
    settings = ModelSettings.parse({**small, **options})
    built = build_aggregator(settings, dim=12, n_classes=2)
    assert isinstance(built, SamMil)
    return built.train()


@pytest.fixture
def bag(make_bag: Callable[..., FeatureBag]) -> BagTensors:
    return BagTensors.of(make_bag(120, 6))


def gradient(net: SamMil, term: str, bag: BagTensors) -> float:
    net.zero_grad()
    value = net.loss(bag, LABEL).terms[term]
    if not value.requires_grad:
        return 0.0
    value.backward()
    return sum(float(p.grad.abs().sum()) for p in net.parameters() if p.grad is not None)


def test_the_main_logits_are_those_of_the_last_pseudo_bag(bag: BagTensors) -> None:
    """Worked out from the same random numbers; the masked bag itself then has no say at all."""
    released = model(as_released=True)
    torch.manual_seed(5)
    found = released.loss(bag, LABEL).logits
    torch.manual_seed(5)
    masked = released.masked_bag(bag, len(bag.tokens))  # draws what the loss drew before
    last = pseudo_bags(len(bag.tokens), 5, device=torch.device("cpu"))[-1]
    _, scores, values = released.score_tokens(bag)

    def logits(keep: torch.Tensor) -> torch.Tensor:
        return torch.softmax(scores[keep], 0) @ values[keep] + released.head.bias

    torch.testing.assert_close(found, logits(last))
    ours = model()
    torch.manual_seed(5)
    torch.testing.assert_close(ours.loss(bag, LABEL).logits, logits(masked | (torch.arange(126) >= 120)))


def test_the_consistency_is_counted_and_trains_nothing(bag: BagTensors) -> None:
    assert gradient(model(), "consistency", bag) > 0
    assert gradient(model(as_released=True), "consistency", bag) == 0
    values = []
    for released in (False, True):
        torch.manual_seed(1)
        values.append(
            model(as_released=released, consistency_patches=0).loss(bag, LABEL).terms["consistency"].detach()
        )
    assert values[0] > 0
    torch.testing.assert_close(values[0], values[1])
    for term in ("bag", "pseudo_bags"):
        assert gradient(model(as_released=True), term, bag) > 0


def test_no_group_token_survives_the_mask(bag: BagTensors) -> None:
    n, total = len(bag), len(bag.tokens)
    assert total == n + 6
    assert model().masked_bag(bag, total)[n:].all()
    kept = model(as_released=True).masked_bag(bag, total)
    assert not kept[n:].any()
    assert kept[:n].any()


def test_it_is_never_the_default() -> None:
    assert ModelSettings().as_released is False


def released_pair(name: str, **options: object) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return one model with the same weights twice: as the paper has it, and as released."""
    found = []
    for released in (False, True):
        torch.manual_seed(0)
        settings = ModelSettings.parse(
            {"name": name, "hidden": 16, "attention": 8, "dropout": 0, "as_released": released, **options}
        )
        found.append(build_aggregator(settings, dim=12, n_classes=3).eval())
    return found[0], found[1]


def test_the_released_srmil_forgets_the_residual_where_widths_agree(bag: BagTensors) -> None:
    small = {"width": 12, "heads": 2, "head_width": 4, "classifier": 5}
    ours, theirs = released_pair("srmil", srmil=small)
    assert ours.state_dict().keys() == theirs.state_dict().keys(), "the residual has no weights of its own"
    graph, features = ours._window(bag), torch.randn(len(bag), 8)
    first = [model.encoder[0](bag.features, graph)[0] for model in (ours, theirs)]
    torch.testing.assert_close(*first)  # from 12 to 8 numbers: projected, released or not
    for layers, place, residual in (("encoder", 1, 1), ("decoder", 0, 1), ("decoder", 1, 0)):
        layer, released = (getattr(model, layers)[place] for model in (ours, theirs))
        layer.after = released.after = torch.nn.Identity()
        difference = layer(features, graph)[0] - released(features, graph)[0]
        torch.testing.assert_close(difference, features if residual else torch.zeros_like(difference))


def test_the_released_dtfd_ranks_by_the_last_of_three_classes(bag: BagTensors) -> None:
    options = {"distill": "MaxS", "instances": 1, "pseudo_bags": 4}
    ours, theirs = released_pair("dtfd", dtfd=options)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    tokens = theirs.tokens(bag)
    embeddings = theirs.project(tokens)
    scores, values = theirs.attend(embeddings), embeddings @ theirs.head.weight.T
    expected = torch.zeros(len(tokens), dtype=torch.bool)
    for part in fixed_pseudo_bags(tokens, 4):
        members = torch.nonzero(part).flatten()
        activation = torch.softmax(scores[members], 0)[:, None] * values[members]
        expected[members[torch.softmax(activation, dim=1)[:, -1].argmax()]] = True
    found = theirs(bag).attention > 0
    assert torch.equal(found, expected)
    assert not torch.equal(found, ours(bag).attention > 0)


def test_with_two_classes_the_released_dtfd_is_ours(bag: BagTensors) -> None:
    logits = []
    for released in (False, True):
        torch.manual_seed(0)
        settings = ModelSettings.parse({"name": "dtfd", "hidden": 16, "as_released": released})
        logits.append(build_aggregator(settings, dim=12, n_classes=2).eval()(bag).logits)
    torch.testing.assert_close(logits[0], logits[1])
