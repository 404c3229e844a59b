"""Pages of the site that lie outside ``docs/``, and the links between all of them: a hook of ``mkdocs.yml``.

Files keep the links that are right in the repository. On the site, a link to a file that is not a page becomes its
path, notebooks become pages, and equations between ``$$`` become MathML, which browsers draw without a script.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
#: Files outside docs/ that become pages, at the same path.
PAGES = (
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "benchmarks/README.md",
    "studies/*.md",
    "training/*/*.md",
    "src/sam_mil_engine/weights/*/card.md",
)
NOTEBOOKS = "examples/*.ipynb"
#: What links to a folder mean.
FOLDERS = {"docs/gallery": "docs/gallery.md", "benchmarks": "benchmarks/README.md"}

_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod|exc):<code>[~.]*")
_EQUATION = re.compile(r"^\$\$\n?(.*?)\n?\$\$$", re.DOTALL | re.MULTILINE)
_SYMBOL = re.compile(r"(?<![\w$\\])\$([^$\n]+)\$(?![\w$])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere."""
    for path in sorted(found for pattern in PAGES for found in ROOT.glob(pattern)):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    for path in sorted(ROOT.glob(NOTEBOOKS)):
        name = path.with_suffix(".md").relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, content=notebook_text(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links of the repository into links of the site, and equations into MathML."""
    uri = page.file.src_uri
    source = uri if page.file.generated_by else f"docs/{uri}"
    pages = {file.src_uri if file.generated_by else f"docs/{file.src_uri}": file.src_uri for file in files}

    def link(match: re.Match[str]) -> str:
        text, target = match.groups()
        path, hash_, anchor = target.partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return match[0]
        there = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        there = FOLDERS.get(there, there).replace(".ipynb", ".md")
        if there in pages:
            return f"[{text}]({posixpath.relpath(pages[there], posixpath.dirname(uri) or '.')}{hash_}{anchor})"
        if not (ROOT / there).exists():
            return match[0]  # mkdocs warns of it, and the build fails
        return text if there in text else f"{text} (`{there}`)"

    parts = _BLOCK.split(markdown)
    parts[::2] = [_LINK.sub(link, part) for part in parts[::2]]
    if not _EQUATION.search(markdown):
        return "".join(parts)
    parts = _CODE.split("".join(parts))
    parts[::2] = [_SYMBOL.sub(_symbol, _EQUATION.sub(_equation, part)) for part in parts[::2]]
    return "".join(parts)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Take the roles away that docstrings give to names (``:func:``)."""
    return _ROLE.sub("<code>", html)


def notebook_text(path: Path) -> str:
    """Return the cells of a notebook as Markdown."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    return "\n\n".join(
        f"```python\n{text}\n```" if cell["cell_type"] == "code" else text
        for cell, text in zip(cells, texts, strict=True)
    )


def _equation(match: re.Match[str]) -> str:
    return f'<div class="equation">{convert(match[1].strip(), display="block")}</div>'


def _symbol(match: re.Match[str]) -> str:
    return f"<span>{convert(match[1])}</span>"  # a paragraph may begin with it
