"""All settings: one source in the engine, and the same in the form, the command line and a file."""

from __future__ import annotations

import pytest
from by_hand import click
from qtpy.QtWidgets import QDialogButtonBox

from napari_sam_mil.analysis.model import Choices
from napari_sam_mil.widgets.analyze.choices_card import ChoicesCard
from napari_sam_mil.widgets.settings_form import ELSEWHERE, OF_THE_CLASSIFIER, SettingsForm, form_settings
from sam_mil_engine.cli.assignments import assign
from sam_mil_engine.errors import SettingsError
from sam_mil_engine.settings import ProcessSettings
from sam_mil_engine.settings.changes import complete, setting_names, settings_of, value_of, with_changes


@pytest.fixture
def form(qtbot):
    dialog = SettingsForm(ProcessSettings(), {})
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def test_the_form_and_the_command_line_have_the_same_settings(form):
    assert {*form.fields, *ELSEWHERE} == {*setting_names(ProcessSettings)}
    assert not ELSEWHERE & {*form.fields}


def test_every_field_has_the_words_and_the_default_of_its_setting(form):
    for one in settings_of(ProcessSettings):
        assert one.title[0].isupper(), one.name
        assert one.text.endswith("."), one.name
        if one.name in ELSEWHERE:
            continue
        field = form.fields[one.name]
        assert field.label.startswith(one.title)
        assert one.unit in field.label
        assert field.tooltip == one.text


def test_nothing_is_changed_until_something_is(form):
    assert form.changes == {}


@pytest.mark.parametrize(
    ("name", "typed", "text"),
    [
        ("segments.pred_iou_thresh", 0.7, "0.7"),
        ("segments.cuts", "8, 16", "[8, 16]"),
        ("segments.points_per_batch", "64", "64"),
        ("tiles.mpp", "0,5", "0.5"),
        ("tiles.patch_size", "256", "256"),
        ("tissue.otsu", True, "true"),
        ("tissue.min_tissue_area", 4.0, "4.0"),
        ("features.batch_size", 8, "8"),
        ("features.dtype", "float16", "float16"),
        ("groups.rule", "majority", "majority"),
    ],
)
def test_a_change_means_the_same_in_the_form_and_on_the_command_line(form, name, typed, text):
    form.fields[name].value = typed
    assert list(form.changes) == [name]
    by_form = with_changes(ProcessSettings(), form.changes)
    by_command = complete(assign({}, [f"{name}={text}"], ProcessSettings))
    assert by_form == by_command
    assert value_of(by_form, name) != value_of(ProcessSettings(), name)


def test_a_value_that_cannot_be_is_said_and_the_form_stays(form):
    form.fields["tissue.median_blur"].value = 8
    with pytest.raises(SettingsError, match="odd"):
        form.changes  # noqa: B018
    click(form.buttons.button(QDialogButtonBox.StandardButton.Ok))
    assert form.isVisible()
    assert "odd" in form._said.text()
    form.fields["segments.points_per_batch"].value = "many"
    with pytest.raises(SettingsError, match="SAM batch: 'many' is not a number"):
        form.changes  # noqa: B018


def test_the_form_shows_what_was_changed_before_and_takes_it_back(qtbot):
    changes = {"segments.cuts": (8, 16), "tiles.mpp": 0.5, "tissue.otsu": True}
    dialog = SettingsForm(ProcessSettings(preset="biopsy"), changes)
    qtbot.addWidget(dialog)
    assert dialog.changes == changes
    assert dialog.fields["tissue.saturation_threshold"].value == 15, "as the preset has it"
    dialog.reset()
    assert dialog.changes == {}
    assert {one.name for one in form_settings()} >= OF_THE_CLASSIFIER


def test_the_card_says_what_is_changed(qtbot):
    card = ChoicesCard()
    qtbot.addWidget(card)
    assert card.choices().changes == Choices().changes == {}
    card.set_changes({"segments.pred_iou_thresh": 0.7, "tissue.otsu": True})
    assert card.choices().changes == {"segments.pred_iou_thresh": 0.7, "tissue.otsu": True}
    assert card._said.text() == "Predicted IoU 0.7, Otsu's threshold on"
    assert " · 2 settings changed · " in card.summary()
