"""The card of a model. A new method is one file with its builder and one card that names it.

Nothing is downloaded here (:mod:`.downloads` does). A weight file that is missing gives an error that names the
file, its address and the folder to put a copy in, so that a machine without a network can be served by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from ..errors import SamMilError
from .files import file_sha256, models_folder
from .hub import PREFIX, Library, cached_weights
from .packages import how_to_install, install_extra
from .recipes import Recipe

Kind = Literal["segmenter", "encoder", "aggregator", "classifier"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: The option that chooses the released code's way.
AS_RELEASED = "--as-released"
#: The source of what is installed with this package.
PACKAGED = "comes with this package"
#: Hexadecimal digits of a SHA-256.
_DIGITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One thing that this package does otherwise than a paper or the code released with it.

    Attributes
    ----------
    paper, released, default
        What the paper says, what the released code does, and what is done here unless something else is set.
    select
        The option that chooses the released code's way; ``--as-released`` is ``model.as_released``.
    """

    paper: str
    released: str
    default: str
    select: str = AS_RELEASED


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One model: what it is, where it comes from, and what builds it.

    Attributes
    ----------
    name
        What a person types, for example ``vit_b``; ``timm:NAME`` where any name may follow the colon.
    kind
        What it does.
    what
        One line for a table.
    builder
        ``module:function`` (or a class), imported when the model is first used. It is called with

        - for a segmenter ``settings`` (:class:`~sam_mil_engine.settings.SegmentSettings`) and ``device``; it
          returns a :class:`~sam_mil_engine.segment.segmenter.Segmenter`;
        - for an encoder ``device`` and ``precision``; it returns an
          :class:`~sam_mil_engine.features.encoder.Encoder`;
        - for an aggregator what :class:`~sam_mil_engine.mil.aggregator.Aggregator` takes: it is a subclass;
        - for a classifier the path of its folder and ``device``: it loads a model folder.
    options
        Further keyword arguments of the builder.
    takes
        What may follow ``NAME:`` in the name of an encoder, such as ``PATH``: the builder gets it, or an
        empty text, as its first argument. Empty where nothing may.
    title
        What it is called where a person reads of it; its name where this is empty.
    source
        Address that it comes from, or a word on where it comes from.
    licence, citation
        SPDX name, and what to cite.
    file, size, size_is_exact, sha256
        Its weight file in :func:`~.files.models_folder`: name; bytes, 0 where that is not known; checksum, in full
        or the first digits that are published.
    repository, library, gated
        ``OWNER/NAME`` on the Hugging Face hub that holds its weights, what reads them, and whether its authors
        let in only whom they accept.
    aliases
        Other names that a person may type.
    elsewhere
        Of a model that this package cannot build: what to do instead, a sentence.
    folder
        Folder of a classifier.
    needs, extra, distribution
        Module that must be installed to use it, or nothing; the extra of this package that installs it; and the
        name of its distribution where that is another.
    prompts
        Whether it is a SAM, which answers clicks and boxes.
    recipe
        How an aggregator's own paper trains; None where the paper has no recipe for slides.
    deviations
        What an aggregator does otherwise than its paper or its code.
    mpp, input_size, dim
        µm per pixel and side of a patch in pixels that it was trained with; numbers in a feature. None where it
        does not apply, is not stated, or depends on the name after the colon.
    normalisation
        Name of the normalisation of colours (:data:`~.normalisation.NORMALISATIONS`).
    """

    name: str
    kind: Kind
    what: str
    builder: str
    options: Mapping[str, object] = field(default_factory=dict)
    takes: str = ""
    title: str = ""
    source: str = PACKAGED
    licence: str = "Apache-2.0"
    citation: str = ""
    file: str = ""
    size: int = 0
    size_is_exact: bool = True
    sha256: str = ""
    repository: str = ""
    library: Library = "timm"
    gated: bool = False
    aliases: tuple[str, ...] = ()
    elsewhere: str = ""
    folder: Path | None = None
    needs: str = ""
    extra: str = ""
    distribution: str = ""
    prompts: bool = False
    recipe: Recipe | None = None
    deviations: tuple[Deviation, ...] = ()
    mpp: float | None = None
    input_size: int | None = None
    dim: int | None = None
    normalisation: str = ""

    @property
    def recorded_name(self) -> str:
        """The name of an encoder in its bags: one for all names that a person may type."""
        return f"{PREFIX}{self.repository}" if self.repository else self.name

    @property
    def is_family(self) -> bool:
        """Whether it stands for all models of a source, as ``timm:NAME`` does."""
        return bool(self.takes) and self.name.endswith(f":{self.takes}")

    @property
    def has_released_way(self) -> bool:
        """Whether ``as_released`` changes the model."""
        return any(deviation.select == AS_RELEASED for deviation in self.deviations)

    @property
    def missing_package(self) -> str:
        """The package that must be installed to use it and is not; else nothing."""
        try:
            return "" if not self.needs or find_spec(self.needs) is not None else self.needs
        except ModuleNotFoundError:  # of a package within a package
            return self.needs

    @property
    def package(self) -> str:
        """What is installed to have :attr:`needs`."""
        return self.distribution or self.needs

    @property
    def install_command(self) -> str:
        """The command that installs :attr:`needs`."""
        return install_extra(self.extra) if self.extra else how_to_install(self.package)

    @property
    def file_path(self) -> Path:
        """Where its weight file is expected on this machine."""
        return models_folder() / self.file

    @property
    def path(self) -> Path | None:
        """Where it is kept, or would be; None where it is in no file of its own, or the hub's cache lacks it."""
        if self.repository:
            return cached_weights(self.repository, self.library)
        return self.file_path if self.file else self.folder

    @property
    def on_disk(self) -> bool:
        """Whether it can be used now, without a download."""
        if self.is_family or self.missing_package or self.elsewhere:
            return False
        path = self.path
        return not self.repository if path is None else path.exists()

    @property
    def size_text(self) -> str:
        """Size of the weight file for a table, marked where it is approximate; empty where it is not known."""
        if not self.size:
            return ""
        return f"{self.size:,} bytes" if self.size_is_exact else f"about {self.size / 1e6:,.0f} MB"

    @property
    def checksum_text(self) -> str:
        """The SHA-256 of the weight file, and whether only its first digits are published."""
        if not self.sha256:
            return "not published"
        return self.sha256 if len(self.sha256) == _DIGITS else f"{self.sha256}… (only these digits are published)"

    def find(self, *, error: type[SamMilError]) -> tuple[Path, str]:
        """Return the path of the weight file and its SHA-256.

        Raises
        ------
        SamMilError
            Of the given class, if the file is missing or is not the published one.
        """
        path = self.file_path
        if not path.is_file():
            raise error(
                f"the weights of {self.name!r} ({self.file}) are not on this machine",
                where=path,
                hint=f"Run `sam-mil-engine models get {self.name}`; or download {self.source} elsewhere and run"
                f" `sam-mil-engine models add {self.file}`, which copies it to this place",
                window_hint="Choose it in the Models dock and press Fetch; or download it elsewhere from"
                f" {self.source} and press “Add a file…” there",
            )
        digest = file_sha256(path)
        if not digest.startswith(self.sha256):
            raise error(
                f"the checksum is {digest[:16]}, that of {self.name!r} is {self.sha256[:16]}",
                where=path,
                hint=f"The download was interrupted, or this is a different file: fetch {self.source} again,"
                " or name your own weights by their path from another folder",
            )
        return path, digest
