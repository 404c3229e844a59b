"""A form with all processing settings, which magicgui builds from the fields of the engine's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from magicgui.widgets import CheckBox, ComboBox, Container, FloatSpinBox, LineEdit, SpinBox
from magicgui.widgets.bases import ValueWidget
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QTabWidget, QVBoxLayout, QWidget

from sam_mil_engine.errors import SettingsError
from sam_mil_engine.settings import ProcessSettings
from sam_mil_engine.settings.changes import Setting, settings_of, value_of, with_changes

from ..text import sentence_case
from .parts import text_label

#: Settings that have their own field in the Analyze dock, or come from the slide.
ELSEWHERE = frozenset(
    {
        "preset",
        "region",
        "annotations",
        "only_inside",
        "not_inside",
        "tiles.source_mpp",
        "segments.segmenter",
        "features.encoder",
        "features.more_encoders",
    }
)
#: Settings that the classifier determines, unless the user changes them here.
OF_THE_CLASSIFIER = frozenset({"tiles.patch_size", "tiles.mpp"})
_TABS = {"tissue": "Tissue", "tiles": "Patches", "segments": "Segments", "features": "Features", "groups": "Groups"}


def form_settings() -> list[Setting]:
    """Return the settings that the form shows."""
    return [one for one in settings_of(ProcessSettings) if one.name not in ELSEWHERE]


class SettingsForm(QDialog):
    """All settings without a field elsewhere, with one tab per stage.

    Parameters
    ----------
    base
        The settings without changes.
    changes
        Dotted name -> value of the earlier changes.
    """

    def __init__(self, base: ProcessSettings, changes: Mapping[str, Any], parent: QWidget | None = None):
        super().__init__(parent)
        self.setWindowTitle("All settings")
        self._base = base
        self._settings = form_settings()
        self._start: dict[str, Any] = {}
        self.fields: dict[str, ValueWidget[Any]] = {}
        self._tabs = QTabWidget()
        self._pages: list[Container[ValueWidget[Any]]] = []
        for group, title in _TABS.items():
            self._tabs.addTab(self._page(group), title)
        self._said = text_label()
        self._said.hide()
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.Ok | kinds.Cancel | kinds.RestoreDefaults)
        self.buttons.accepted.connect(self._accept)
        self.buttons.rejected.connect(self.reject)
        self.buttons.button(kinds.RestoreDefaults).setToolTip("Reset all fields to the settings of the project")
        self.buttons.button(kinds.RestoreDefaults).clicked.connect(self.reset)
        layout = QVBoxLayout(self)
        layout.addWidget(self._tabs)
        layout.addWidget(self._said)
        layout.addWidget(self.buttons)
        for name, value in changes.items():
            if name in self.fields:
                self.fields[name].value = _shown(value, self.fields[name])

    @property
    def changes(self) -> dict[str, Any]:
        """Dotted name -> value of all settings that differ from ``base``.

        Raises
        ------
        SettingsError
            If a value cannot be read, or is out of range.
        """
        found = {
            name: _read(one, self.fields[name].value)
            for one in self._settings
            if self.fields[name := one.name].value != self._start[name]
        }
        with_changes(self._base, found)
        return found

    def reset(self) -> None:
        """Reset all fields to the settings of the project."""
        for name, field in self.fields.items():
            field.value = self._start[name]

    def _page(self, group: str) -> QWidget:
        rows = []
        for one in self._settings:
            if one.name.partition(".")[0] != group:
                continue
            field = _field(one, None if one.name in OF_THE_CLASSIFIER else value_of(self._base, one.name))
            self.fields[one.name], self._start[one.name] = field, field.value
            rows.append(field)
        page: Container[ValueWidget[Any]] = Container(widgets=rows, labels=True)
        self._pages.append(page)
        return page.native

    def _accept(self) -> None:
        try:
            self.changes  # noqa: B018  (raises where a value is wrong)
        except SettingsError as error:
            self._said.setText(f"{sentence_case(error.what)}.")
            self._said.show()
            return
        self.accept()


def _field(one: Setting, value: Any) -> ValueWidget[Any]:
    label = f"{one.title} ({one.unit})" if one.unit else one.title
    options: dict[str, Any] = {"name": one.name, "label": label, "tooltip": one.text}
    low, high = (one.limits.get(name, one.limits.get(other)) for name, other in (("ge", "gt"), ("le", "lt")))
    kind = one.annotation
    if value is None or get_origin(kind) is tuple:
        field = LineEdit(value="" if value is None else ", ".join(map(str, value)), **options)
        if one.name in OF_THE_CLASSIFIER:
            field.native.setPlaceholderText("as the classifier expects")
        elif value is None:
            field.native.setPlaceholderText("automatic")
        return field
    if get_origin(kind) is Literal:
        return ComboBox(choices=get_args(kind), value=value, **options)
    if kind is bool:
        return CheckBox(value=value, text="", **options)
    if kind is int:
        return SpinBox(value=value, min=int(low or 0), max=int(high or 10**9), **options)
    if kind is float:
        return FloatSpinBox(value=value, min=low or 0.0, max=high or 1e9, step=0.05, **options)
    return LineEdit(value=str(value), **options)


def _shown(value: Any, field: ValueWidget[Any]) -> Any:
    """Convert a value of a setting to a value of its field."""
    if not isinstance(field, LineEdit):
        return value
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _read(one: Setting, value: Any) -> Any:
    """Convert a value of a field to a value of its setting."""
    if not isinstance(value, str) or get_origin(one.annotation) is Literal or one.annotation is str:
        return value
    try:
        if get_origin(one.annotation) is tuple:
            return tuple(int(part) for part in value.split(",") if part.strip())
        if not value.strip():
            return None
        number = float(value.replace(",", "."))
    except ValueError:
        raise SettingsError(f"{one.title}: {value!r} is not a number") from None
    return (
        int(number) if number.is_integer() and float not in (one.annotation, *get_args(one.annotation)) else number
    )
