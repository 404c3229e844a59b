"""Find words that must not come back into the code and the docs, and private names outside their room.

Run by ``make check``. Prints ``file:line: reason: text`` for each place and ends with exit code 1 if there is one.
CONTRIBUTING has the glossary.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Where words are read. Tests may quote what a message must not say.
FOLDERS = (
    "src",
    "docs",
    "benchmarks",
    "studies",
    "training",
    "scripts",
    "examples",
    "README.md",
    "CONTRIBUTING.md",
)
SUFFIXES = {".py", ".md", ".yaml", ".toml", ".html", ".jinja", ".css", ".sh"}

_COUNTED = "micromet(?:re|er)s|µm|pixels|px|numbers|bags|patches|slides|seconds|bytes|tiles|rows|images|epochs"
_BY = "pixel|second|minute|slide|bag|patch|fold|core|worker|block|batch|epoch|class|group|file|model|node"
#: Why -> what is searched for.
WORDS: dict[str, str] = {
    'say "per": µm per pixel, numbers per patch': rf"\b(?:{_COUNTED}) an? (?:{_BY})\b(?! of)",
    'say "again"': r"\banew\b",
    'say "NaN"': r"\b[Nn]ot-a-number\b",
    'say "is not a ..."': r", is no [a-z]+ ",
    'say "mainly"': r"\bbefore all\b",
    'say "in the meantime"': r"\bmeanwhile\b",
    "never advise to delete": r"[\"' ][Dd]elete (?:it|the file|this file)\b.*(?:again|anew|new)",
}
#: The same for what the user of the plugin reads.
PLUGIN_PLACES = ("src/napari_sam_mil/", "docs/", "README.md")
PLUGIN_WORDS: dict[str, str] = {
    'say "image"': r"\b(?:the|this|a|in|label) pictures?\b",
    'say "segment table", "Segments dock"': r"\b[Gg]roups? (?:dock|table)\b",
    'say "finished stages are saved"': r"\bwhat (?:was|is) (?:finished|done)\b",
    'say "the window stays responsive"': r"\bwindow (?:goes on living|lives)\b",
    'say "next to"': r"\bbeside (?:AB-MIL|napari)\b",
    'say "is not a ..."': r"\bis no (?:number|project|run|slide|page)\b",
    'say "if it is not known"': r"\bwhere that is not known\b",
}
#: The same, for the engine alone: there a picture is an image, and a number is a metric.
ENGINE = "src/sam_mil_engine/"
ENGINE_WORDS: dict[str, str] = {
    'say "image"': r"(?<!--)\b[Pp]ictures?\b",
    'say "metric"': r"\b[Ff]igures? of merit\b|^\s*print_line\(f\"figures:",
    'say "result"': r"\b[Oo]utcomes?\b|SlideOutcome",
    'say "interface"': r"\bThe seam between\b",
    'say "is not a ..."': r"(?<!there )\b(?:is|are) no "
    "(?:dataset|number|image|table|file|plain|TIFF|DICOM|softmax)\b",
    'say "after"': r"\bbehind (?:the|a) (?:name|colon)\b",
    'say "for the user"': r"\bfor a person\b",
}
#: Private names, and tricks that only napari_compat may use.
PRIVATE = (
    r"_qt_viewer\b|_activate_on_insert|action_manager\._actions|__wrapped__|processEvents|setswitchinterval"
    r"|\bitemAt\("
)
PRIVATE_ROOM = "src/napari_sam_mil/napari_compat/"


def tracked() -> list[Path]:
    """Return the files under version control that are read."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *FOLDERS],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = [Path(name) for name in listed.split("\0") if name]
    return [name for name in names if name.suffix in SUFFIXES and name != Path(__file__).relative_to(ROOT)]


def places(name: Path, text: str) -> list[str]:
    """Return a line for each place in one file."""
    rules = dict(WORDS)
    if name.as_posix().startswith(PLUGIN_PLACES):
        rules |= PLUGIN_WORDS
    if str(name).startswith("src/") and not name.as_posix().startswith(PRIVATE_ROOM):
        rules["private names belong into napari_compat/"] = PRIVATE
    if name.as_posix().startswith(ENGINE):
        rules |= ENGINE_WORDS
    return [
        f"{name}:{number}: {reason}: {line.strip()[:120]}"
        for number, line in enumerate(text.splitlines(), start=1)
        for reason, pattern in rules.items()
        if re.search(pattern, line)
    ]


def main() -> int:
    """Print every place; return how the process ends."""
    found = [line for name in tracked() for line in places(name, (ROOT / name).read_text(encoding="utf-8"))]
    print("\n".join(found) or "words: nothing to correct")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
