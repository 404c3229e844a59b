"""Make the gallery: open a generated slide in napari, use the docks, and save what the window shows.

``python scripts/screenshots.py --demo out/demo --output docs/gallery`` makes the demonstration first where it is
not there yet. Every image is of a slide that this program made itself.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication

from napari_sam_mil.docks import open_dock
from napari_sam_mil.napari_compat.display import ensure_display
from sam_mil_engine.models.files import MODELS_VARIABLE

SIZE = (1400, 860)


def main() -> None:
    """Parse the command line and make every image."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--demo", type=Path, default=Path("out/demo"))
    parser.add_argument("--output", type=Path, default=Path("docs/gallery"))
    chosen = parser.parse_args()
    slide, runs = prepare(chosen.demo)
    chosen.output.mkdir(parents=True, exist_ok=True)
    with ensure_display(size=(1600, 1000)):
        Gallery(slide, chosen.demo, runs, chosen.output).make()


def prepare(demo: Path) -> tuple[Path, dict[str, Path]]:
    """Return a test slide with tumour, and a run of SAM-MIL and one of AB-MIL trained on the same bags."""
    from sam_mil_engine.demo import run_demo
    from sam_mil_engine.settings import DemoSettings, ModelSettings
    from sam_mil_engine.training.loop import train

    result = run_demo(demo)
    settings = DemoSettings().train.model_copy(update={"model": ModelSettings(name="abmil")})
    plain = result.project / "runs" / "abmil"
    if not (plain / "metrics.json").is_file():
        train(result.project / "bags", result.labels, plain, settings=settings, resume=plain.exists())
    if result.example is None:
        raise SystemExit("no test slide of the demonstration holds tumour")
    return result.example, {"sam-mil": result.run, "abmil": plain}


class Gallery:
    """One window, used as a person would, and an image of every step."""

    def __init__(self, slide: Path, demo: Path, runs: dict[str, Path], output: Path):
        self.slide, self.demo, self.runs, self.output = slide, demo, runs, output

    def make(self) -> None:
        """Make every image, in the order of the walk-through."""
        from napari.viewer import Viewer

        from napari_sam_mil.session.viewer import sessions_of
        from napari_sam_mil.showcase import present

        self.own_preferences()
        self.viewer = Viewer(title=f"{self.slide.stem} - SAM-MIL")
        self.dock = present(self.viewer, self.slide, self.demo / "project", model=self.runs["sam-mil"], size=SIZE)
        self.session = sessions_of(self.viewer).current
        self.save("analyze")
        self.only("attention", "segments")
        self.save("attention")
        self.show_finer()
        self.show_slides()
        self.show_groups()
        self.show_annotations()
        self.show_prompts()
        self.show_rest()
        self.viewer.close()

    def own_preferences(self) -> None:
        """Use preferences of the gallery's own, in which what is told once has been told."""
        from napari_sam_mil import preferences

        preferences.preferences_file = lambda: self.demo / "gallery-preferences.json"
        chosen = preferences.Preferences(project=str(self.demo / "project"), background_offered=True)
        preferences.save_preferences(chosen)

    def show_finer(self) -> None:
        """Predict a finer map around the most probable patch."""
        from napari_sam_mil.layers.view import show_px0

        self.only("probability", "tissue")
        scores, card = self.session.analysis.scores, self.dock.map_card
        corner = scores.coords_px0[scores.patch_probability[:, -1].argmax()].astype(float)
        show_px0(self.viewer, [corner - 400, corner + 900], self.session.source.place)
        card.finer.click()
        self.wait(lambda: not card.jobs.busy)
        self.dock._area.ensureWidgetVisible(card)
        self.save("finer-map")
        self.viewer.layers.remove(self.session.layers["finer"])
        self.viewer.reset_view()

    def show_slides(self) -> None:
        """List the slides of the run, and type into the command palette."""
        slides = self.open("Slides")
        slides.show_folder(self.runs["sam-mil"])
        slides.table.sortItems(4, Qt.SortOrder.DescendingOrder)
        slides.table.selectRow(0)
        self.only("probability")
        self.save("slides")
        slides.table.choose(slides.table.neighbour(1))
        slides.beside.click()
        self.wait(lambda: slides.beside.pair is not None)
        pair = slides.beside.pair._viewer
        pair.window.resize(*SIZE)
        self.pause()
        slides.beside.pair.fit()
        self.save("pair", pair)
        pair.close()
        self.close(slides)
        palette = self.viewer.window._qt_window._command_palette
        self.viewer.window._toggle_command_palette()
        palette._line.setText("sam-mil")
        self.save("command-palette")
        palette.hide()

    def show_groups(self) -> None:
        """Filter the table, click a row."""
        groups = self.open("Segments")
        self.only("segments", "tissue")
        groups.filter.setText("probability > 0.5, patches >= 3")
        groups.table.selectRow(0)
        self.save("segments")
        self.close(groups)
        self.viewer.reset_view()

    def show_annotations(self) -> None:
        """Outlines, agreement, Figure 6, and two classifiers side by side."""
        notes = self.open("Annotations")
        notes.load(self.demo / "annotations" / f"{self.slide.stem}.geojson")
        self.wait(lambda: self.session.agreement is not None)
        notes.agreement.colours.setCurrentIndex(notes.agreement.colours.findText("Purity"))
        notes.agreement.colours.activated.emit(notes.agreement.colours.currentIndex())
        self.only("segments", "annotations")
        self.save("agreement")
        notes.figure.show_box.setChecked(True)
        self.save("threshold")
        self.library_of_runs()
        notes.figure.beside.click()
        self.wait(lambda: notes.comparison_dock is not None)
        window = notes.comparison_dock._viewer
        window.window.resize(*SIZE)
        self.pause()
        notes.comparison_dock.fit()
        self.save("comparison", window)
        window.close()
        notes.figure.show_box.setChecked(False)
        self.close(notes)

    def library_of_runs(self) -> None:
        """Let the plugin know both runs, in a library of the gallery's own."""
        from napari_sam_mil.analysis import comparison as beside
        from napari_sam_mil.analysis.library import Library

        shelf = Library(self.demo / "gallery-models.json")
        shelf.add("classifier", self.runs["abmil"])
        beside.library = lambda: shelf

    def show_prompts(self) -> None:
        """Click into a tumour with the SAM that comes with the plugin, and let it propose a mask."""
        from napari_sam_mil.analysis.prompting import Prompt

        prompts = self.open("Prompts")
        self.only("tissue")
        prompts.card.tools["positive"].click()
        row, column = self.session.layers["annotations"].data[0].mean(axis=0)
        prompts.add(Prompt("positive", ((float(column), float(row)),)))
        self.wait(lambda: prompts.answer is not None)
        self.save("prompts")
        self.close(prompts)

    def show_rest(self) -> None:
        """A region in the light theme, and a figure for print."""
        self.only("probability", "tissue")
        self.viewer.scene.camera.zoom *= 2.5
        self.dock.region_card.choice.setCurrentIndex(1)
        self.dock.button.click()
        self.wait(lambda: self.dock.job is None)
        self.viewer.theme = "light"
        self.pause(1.0)
        self.save("region-light")
        self.viewer.theme = "dark"
        self.dock.region_card.choice.setCurrentIndex(0)
        self.dock.button.click()
        self.wait(lambda: self.dock.job is None)
        self.viewer.reset_view()
        self.show_models()
        figure = self.open("Figure")
        self.only("probability", "tissue", "annotations")
        path = self.demo / "figure-for-print.png"
        figure.dpi.setValue(150)
        figure.save(path)
        self.wait(lambda: not figure.jobs.busy)
        self.keep(path)
        self.save("figure-dock")
        self.close(figure)
        self.open("Preferences and keys")
        self.save("preferences")

    def show_models(self) -> None:
        """Read the card of a bundled model; the folder of weight files is one of the gallery's own."""
        os.environ[MODELS_VARIABLE] = str(self.demo / "models")
        models = self.open("Models")
        self.wait(lambda: not models.jobs.busy)
        models.choose("colon")
        self.save("models")
        self.close(models)

    def open(self, name: str) -> object:
        """Open a dock beside the main one, in front."""
        dock = open_dock(self.viewer, name)
        self.pause()
        return dock

    def close(self, dock: object) -> None:
        """Take a dock away, as its cross does."""
        dock.parentWidget().title.close_button.click()
        self.pause(0.2)

    def only(self, *kinds: str) -> None:
        """Show these layers of the slide and hide the others."""
        for kind, layer in self.session.layers.items():
            layer.visible = kind in kinds

    def save(self, name: str, viewer: object = None) -> None:
        """Save the whole window."""
        self.pause(1.2)
        path = self.demo / f"{name}.png"
        (viewer or self.viewer).window.screenshot(str(path), flash=False, canvas_only=False)
        self.keep(path)

    def keep(self, path: Path) -> None:
        """Write an image into the gallery in full colour; as WebP it takes a fifth of a PNG."""
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        if image.width > SIZE[0]:
            height = round(image.height * SIZE[0] / image.width)
            image = image.resize((SIZE[0], height), Image.Resampling.LANCZOS)
        image.save(self.output / f"{path.stem}.webp", quality=94, method=6)

    def pause(self, seconds: float = 0.4) -> None:
        """Let the window draw."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)

    @staticmethod
    def wait(until: Callable[[], bool], *, seconds: float = 300) -> None:
        """Let the window work until something holds."""
        end = time.monotonic() + seconds
        while not until():
            QApplication.processEvents()
            QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
            time.sleep(0.01)
            if time.monotonic() > end:
                raise SystemExit("the window did not get there in time")


if __name__ == "__main__":
    main()
