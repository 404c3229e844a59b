"""The one tree of exceptions of the engine.

::

    SamMilError
    ├── SettingsError      a setting is unknown or out of range
    ├── SlideError         a slide cannot be opened or read
    ├── SegmentError       a segmenter cannot be loaded or cannot segment
    ├── EncoderError       a patch encoder cannot be loaded or run
    ├── BagError           a bag file is missing, damaged or inconsistent
    ├── DataError          labels, splits or cohorts do not fit together
    ├── ModelError         a trained model cannot be loaded or does not fit the bag
    ├── AnnotationError    an annotation file is malformed
    ├── ProjectError       a project folder cannot be written or is in use
    └── Cancelled          the caller asked to stop; finished results are saved

Every error says what is wrong, where, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fspath

#: What Python and its libraries raise over values that make no sense. Caught where a file of unknown origin is
#: read, once for each format, and nowhere else: in code of our own they are faults.
MALFORMED: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


class SamMilError(Exception):
    """Base of every error that the engine raises on purpose.

    Parameters
    ----------
    what
        What is wrong, as a sentence without a full stop.
    where
        The file, row, element or setting that is wrong.
    hint
        What the reader can do about it.
    window_hint
        The same for a reader who sits at a window, where ``hint`` names commands or options: it names buttons and
        fields. None where ``hint`` is right for both.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | PathLike[str] | None = None,
        hint: str | None = None,
        window_hint: str | None = None,
    ):
        self.what = what
        self.where = None if where is None else fspath(where)
        self.hint = hint
        self.window_hint = window_hint
        super().__init__(what)

    def __str__(self) -> str:
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        return text if self.hint is None else f"{text}. {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with keyword arguments, so that workers can send errors back."""
        return _rebuild, (type(self), self.what, self.where, self.hint, self.window_hint)

    def without_hint(self) -> str:
        """Return where and what alone: lists keep the hint in a column of its own."""
        return str(type(self)(self.what, where=self.where))

    def for_window(self) -> SamMilError:
        """Return the same error with the window's hint as its hint."""
        hint = self.hint if self.window_hint is None else self.window_hint
        return type(self)(self.what, where=self.where, hint=hint)


def _rebuild(
    kind: type[SamMilError], what: str, where: str | None, hint: str | None, window_hint: str | None
) -> SamMilError:
    return kind(what, where=where, hint=hint, window_hint=window_hint)


def reason(error: BaseException) -> str:
    """Return the first line of what another library says, or the kind of its error where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def one_line(error: BaseException) -> str:
    """Return all that another library says as one line, or the kind of its error where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def values_of(kind: type[SamMilError], *, where: str | PathLike[str], hint: str) -> Iterator[None]:
    """Turn what values that make no sense raise in the block into an error of ``kind`` about the file ``where``."""
    try:
        yield
    except MALFORMED as error:
        raise kind(f"a value in it makes no sense ({reason(error)})", where=where, hint=hint) from error


class SettingsError(SamMilError):
    """A setting is unknown, out of range or contradicts another."""


class SlideError(SamMilError):
    """A slide cannot be opened or read."""


class SegmentError(SamMilError):
    """A segmenter cannot be loaded, or cannot segment the image it was given."""


class EncoderError(SamMilError):
    """A patch encoder cannot be loaded or run."""


class BagError(SamMilError):
    """A bag file is missing, damaged, or its arrays contradict each other."""


class DataError(SamMilError):
    """Labels, splits and bags do not fit together."""


class ModelError(SamMilError):
    """A trained model cannot be loaded, or does not fit the bag it is given."""


class AnnotationError(SamMilError):
    """An annotation file is malformed."""


class ProjectError(SamMilError):
    """A project folder cannot be written, or another process is using it."""


class Cancelled(SamMilError):
    """The caller asked to stop. Results finished before are saved."""
