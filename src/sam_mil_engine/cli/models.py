"""``sam-mil-engine models``."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import print_error, print_json, print_line, print_table, progress
from .options import Json, Quiet

if TYPE_CHECKING:
    from ..models.catalogue import Entry


class Action(StrEnum):
    """What to do with models."""

    LIST = "list"
    GET = "get"
    CHECK = "check"
    VERIFY = "verify"
    ADD = "add"
    REMOVE = "remove"


def command(
    action: Annotated[Action, typer.Argument(help="list, get, check, verify, add or remove.")] = Action.LIST,
    what: Annotated[
        str | None, typer.Argument(help="Name of a model; for add, a file.", metavar="[NAME|FILE]")
    ] = None,
    called: Annotated[
        str | None,
        typer.Option("--as", help="With add: the name for the file, or the model it must match.", metavar="NAME"),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List, fetch, check, verify, add and remove segmenters, encoders, aggregators and classifiers.

    list: all of them with source, licence, size, checksum, citation and location (the default).
    get NAME: download one; an interrupted download resumes. Gated ones need `hf auth login` before.
    check NAME: licence, access, token and package of one, and what to do next; exit code 1 if it cannot be used.
    verify [NAME]: compare one, or all that are here, with their checksums; exit code 1 if one is damaged.
    add FILE [--as NAME]: copy a published file that you have, or a SAM of your own, to its place.
    remove NAME: delete a downloaded or added file.

    Example:  sam-mil-engine models get vit_b
    """
    if action is Action.LIST:
        _list(what, as_json=json)
        return
    if action is Action.VERIFY:
        _verify(what, as_json=json)
        return
    if what is None:
        raise typer.BadParameter("name a file" if action is Action.ADD else "name a model", param_hint="NAME|FILE")
    if action is Action.CHECK:
        _check(what, as_json=json)
        return
    from ..models import store

    if action is Action.REMOVE:
        print_line(f"{what} was removed, {store.remove(what) / 1e6:.1f} MB were freed")
        return
    with progress(quiet=quiet) as report:
        if action is Action.GET:
            print_line(str(store.get(what, progress=report)))
        else:
            entry = store.add(Path(what), name=called, progress=report)
            print_line(f"{entry.name}: {entry.path}")


def _list(name: str | None, *, as_json: bool) -> None:
    from ..models.card import KINDS
    from ..models.catalogue import catalogue, find_entries
    from ..models.files import models_folder

    entries = catalogue() if name is None else find_entries(name)
    if as_json:
        roles = {f"{kind}s": [entry for entry in entries if entry.role == kind] for kind in KINDS}
        listed = {role: [_as_json(entry) for entry in found] for role, found in roles.items()}
        print_json({"folder": str(models_folder()), **listed})
        return
    if name is not None:
        for entry in entries:
            for title, value in _as_json(entry).items():
                print_line(f"{title.replace('_', ' ')}: {_as_text(value)}")
        return
    for role in dict.fromkeys(entry.role for entry in entries):
        rows = [_row(entry) for entry in entries if entry.role == role]
        print_table(rows, title=f"{role.capitalize()}s")
        print_line("")
    print_line(
        "Other encoders: timm:NAME and hf:OWNER/NAME. `models list NAME` shows source, checksum and citation,"
        " `models check NAME` whether you have access"
    )
    print_line(f"Downloaded and added files are stored in {models_folder()}")


def _as_text(value: object) -> object:
    return {True: "yes", False: "no", None: ""}[value] if value is None or isinstance(value, bool) else value


def _row(entry: Entry) -> dict[str, object]:
    missing = f" (needs {entry.needs})" if entry.needs else " (gated)" if entry.gated else ""
    here = "yes" if entry.on_disk else "elsewhere" if entry.elsewhere else f"no{missing}"
    return {
        "name": entry.name,
        "here": here,
        "size": entry.size,
        "licence": entry.licence,
        "what": entry.what,
    }


def _as_json(entry: Entry) -> dict[str, object]:
    values = asdict(entry)
    return {**values, "path": None if entry.path is None else str(entry.path)}


def _check(name: str, *, as_json: bool) -> None:
    from ..models.access import check_access
    from ..models.catalogue import find_cards, find_entries

    if not find_cards(name):
        find_entries(name)  # says which names there are
    found = [check_access(card) for card in find_cards(name)]
    if as_json:
        print_json([{**asdict(one), "cached": None if one.cached is None else str(one.cached)} for one in found])
    for one in () if as_json else found:
        print_line(f"{one.name}: {one.found}")
        print_line(f"licence: {one.licence}; {'gated' if one.gated else 'open to everybody'}; {one.source}")
        if one.token is not None:
            print_line(f"token of the Hugging Face hub: {'here' if one.token else 'none'}")
        if one.cached is not None:
            print_line(f"weights: {one.cached}")
        if one.advice:
            print_line(f"next: {one.advice}")
    if not all(one.can_run for one in found):
        raise typer.Exit(1)


def _verify(name: str | None, *, as_json: bool) -> None:
    from ..errors import SamMilError
    from ..models.catalogue import catalogue, find_entries
    from ..models.store import verify

    rows, failed = [], False
    entries = find_entries(name) if name is not None else [entry for entry in catalogue() if entry.on_disk]
    for one in dict.fromkeys(entry.name for entry in entries):
        try:
            rows.append({"name": one, "state": "good", "found": verify(one)})
        except SamMilError as error:
            failed = True
            rows.append({"name": one, "state": "bad", "found": error.what})
            print_error(error)
    if as_json:
        print_json(rows)
    else:
        print_table(rows)
    if failed:
        raise typer.Exit(1)
