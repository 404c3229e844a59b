"""Encoders on the Hugging Face hub: fetching any of them with the user's token.

``huggingface_hub`` keeps the files, where the libraries find them; it also goes on where a download was cut off.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

from ..errors import EncoderError, SamMilError
from ..progress import Progress, ProgressCallback, silent
from .files import file_sha256
from .offline import OFFLINE_VARIABLES, is_offline

#: Stands before the name of a repository where a person names an encoder.
PREFIX = "hf:"
#: What to do at a window where the weights of the hub cannot be had.
GATED_IN_WINDOW = (
    "Check the network; if the model is gated, request access on its page and log in to the"
    " Hugging Face hub on this"
    " computer. Without a network, copy the hub's cache from a computer that has the model"
)
#: What builds a model of the hub.
Library = Literal["timm", "transformers", "open_clip", "conch"]
#: Library -> its configuration file (or nothing), and the files of weights that it reads, the preferred one first.
_FILES: dict[Library, tuple[str, tuple[str, ...]]] = {
    "timm": ("config.json", ("model.safetensors", "pytorch_model.bin")),
    "transformers": ("config.json", ("model.safetensors", "pytorch_model.bin")),
    "open_clip": ("open_clip_config.json", ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")),
    "conch": ("", ("pytorch_model.bin",)),
}


def cached_weights(repository: str, library: Library = "timm") -> Path | None:
    """Return the file of weights in the hub's cache on this machine, or None."""
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(repository, name) for name in _FILES[library][1])
    return next((Path(path) for path in found if isinstance(path, str)), None)


def fetch_repository(repository: str, library: Library = "timm", *, progress: ProgressCallback = silent) -> Path:
    """Download the configuration and the weights of a model with the user's token; return the weights' path.

    Raises
    ------
    EncoderError
        If there is no network, no such repository, no access to it, or it holds no weights for the library.
    Cancelled
        If ``progress`` raises it: called as the bytes arrive.
    """
    import huggingface_hub

    if is_offline():
        raise access_error(repository, f"the network is turned off ({' or '.join(OFFLINE_VARIABLES)})")
    progress(Progress("fetch", 0, 0, unit="MB", message=repository))
    configuration, names = _FILES[library]
    try:
        listed = huggingface_hub.list_repo_files(repository)
        weights = next((name for name in names if name in listed), None)
        if weights is None or (configuration and configuration not in listed):
            needed = " and ".join(part for part in (" or ".join(names), configuration) if part)
            raise EncoderError(f"it holds no model of {library} ({needed})", where=repository)
        wanted = [name for name in (configuration, weights) if name]
        folder = huggingface_hub.snapshot_download(
            repository, allow_patterns=wanted, max_workers=1, tqdm_class=_bars(progress)
        )
    except SamMilError:
        raise
    except Exception as error:  # the hub and its HTTP client raise classes that have no base in common
        raise access_error(
            repository, f"it could not be downloaded ({' '.join(str(error).split())[:300] or type(error).__name__})"
        ) from error
    return Path(folder) / weights


def verify_repository(repository: str, library: Library = "timm") -> str:
    """Compare the weights in the cache with the checksum that the hub gave them; return the SHA-256.

    Raises
    ------
    EncoderError
        If they are missing or damaged.
    """
    path = cached_weights(repository, library)
    if path is None:
        raise access_error(repository, "its weights are not on this machine")
    digest, expected = file_sha256(path), path.resolve().name
    # The hub calls a large file by its SHA-256; where links are not to be had, the name is lost.
    if len(expected) == len(digest) and digest != expected:
        raise EncoderError(
            f"the checksum is {digest[:16]}, that of the hub is {expected[:16]}",
            where=path,
            hint=f"Run `sam-mil-engine models remove {PREFIX}{repository}` and fetch it again",
            window_hint="Press Remove and then Fetch in the Models dock",
        )
    return digest


def remove_repository(repository: str) -> int:
    """Delete a repository from the hub's cache; return the bytes that are free again (0: it was not there)."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        cache = scan_cache_dir(constants.HF_HUB_CACHE)
    except CacheNotFound:
        return 0
    hashes = [
        revision.commit_hash
        for repo in cache.repos
        if repo.repo_type == "model" and repo.repo_id == repository
        for revision in repo.revisions
    ]
    strategy = cache.delete_revisions(*hashes)
    strategy.execute()
    return strategy.expected_freed_size if hashes else 0


def _bars(progress: ProgressCallback) -> Any:
    """Return a class of progress bars, as the hub wants one, that draws nothing and reports bytes."""
    from huggingface_hub.utils.tqdm import tqdm

    class Reporting(tqdm):
        def __init__(self, *args: Any, **options: Any):
            start: Any = super().__init__
            start(*args, **{**options, "file": io.StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> bool | None:
            drawn: bool | None = super().update(n)
            if self.unit == "B":
                progress(Progress("fetch", round(self.n / 1e6), round((self.total or 0) / 1e6), unit="MB"))
            return drawn

    return Reporting


def access_error(repository: str, what: str) -> EncoderError:
    """Return the error of a model of the hub that cannot be had, with what to do."""
    return EncoderError(
        f"{what}; the model is {repository}",
        where=f"https://huggingface.co/{repository}",
        hint="If the model is gated, request access on its page, then `hf auth login`. Without a network, run"
        f" `hf download {repository}` elsewhere, copy it to ~/.cache/huggingface (or where HF_HOME says), and set"
        " HF_HUB_OFFLINE=1",
        window_hint=GATED_IN_WINDOW,
    )
