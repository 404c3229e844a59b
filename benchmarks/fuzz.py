"""Mutated files for every reader of foreign files: each must end in a result or a ``SamMilError``.

    python benchmarks/fuzz.py --format geojson --count 2000 --json fuzz.json --markdown fuzz.md

Files are read in child processes with a limit of processor time and of memory; what they write outside their
folder, start or connect to is a finding too. A run goes on where the last one with the same seed and ``--json``
stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from fuzzing.formats import FORMATS
from fuzzing.pool import Case, Limits, Outcome, make, read, run
from fuzzing.seeds import Seeds

GOOD = ("read", "refused")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--format", action="append", choices=list(FORMATS), help="one of them; may be repeated")
    parser.add_argument(
        "--count", type=int, default=2000, help="mutations of each format, those of earlier runs too"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="child processes")
    parser.add_argument("--cpu", type=int, default=10, help="seconds of processor time for a file")
    parser.add_argument("--memory", type=float, default=2.0, help="GiB for a file, above what the libraries hold")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long")
    parser.add_argument("--data", type=Path, default=_path("SAM_MIL_TEST_DATA"), help="folder of real files")
    parser.add_argument("--case", type=int, help="read one mutation in this process and show what happens")
    parser.add_argument("--keep", type=Path, help="folder for the first file of each finding")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    return parser.parse_args()


def _path(variable: str) -> Path | None:
    return Path(os.environ[variable]) if variable in os.environ else None


def main() -> None:
    args = options()
    chosen = args.format or list(FORMATS)
    report = Report.read(args.json, args.seed)
    with tempfile.TemporaryDirectory(prefix="fuzz-seeds-") as place:
        made = Seeds(Path(place), args.data)
        if args.case is not None:
            _show(Case(chosen[0], args.case, args.seed), list(FORMATS[chosen[0]].seeds(made)))
            return
        end = time.monotonic() + 60 * args.minutes
        for name in chosen:
            seeds = list(FORMATS[name].seeds(made))
            if not seeds:
                print(f"{name}: no file to begin with; name a folder of real files with --data")
                continue
            limits = Limits(args.cpu, int(args.memory * 2**30))
            for outcome in run(_cases(name, report, args, end), {name: seeds}, limits, jobs=args.jobs):
                if report.take(outcome) and args.keep is not None:
                    folder = args.keep / f"{name}-{outcome.case.number}"
                    folder.mkdir(parents=True, exist_ok=True)
                    make(outcome.case, seeds, folder)
            report.write(args.json, args.markdown)
            print(report.line(name), flush=True)
    print(report.markdown())


def _cases(name: str, report: Report, args: argparse.Namespace, end: float) -> Iterator[Case]:
    for number in range(report.done(name), args.count):
        if time.monotonic() > end:
            return
        yield Case(name, number, args.seed)


def _show(case: Case, seeds: list[Path]) -> None:
    with tempfile.TemporaryDirectory() as place:
        outcome = read(case, make(case, seeds, Path(place)))
    print(outcome.trace or f"{outcome.kind}: {outcome.words}")


class Report:
    """Counts and findings by format."""

    def __init__(self, seed: int, counts: dict[str, dict[str, int]], findings: dict[str, dict[str, Any]]):
        self.seed, self.counts, self.findings = seed, counts, findings

    @classmethod
    def read(cls, path: Path | None, seed: int) -> Report:
        known = json.loads(path.read_text()) if path is not None and path.exists() else {}
        if known.get("seed") != seed:
            known = {}
        return cls(seed, known.get("counts", {}), known.get("findings", {}))

    def done(self, name: str) -> int:
        return sum(self.counts.get(name, {}).values())

    def take(self, outcome: Outcome) -> bool:
        """Count an outcome; return whether it is a finding that was not seen before."""
        name = outcome.case.name
        kind = outcome.kind if outcome.kind in GOOD else "findings"
        counted = Counter(self.counts.get(name, {}))
        counted[kind] += 1
        self.counts[name] = dict(counted)
        if kind in GOOD:
            return False
        words = f"{name}: {outcome.kind} {outcome.place or outcome.words}"
        first = words not in self.findings
        found = self.findings.setdefault(words, {"count": 0, "case": outcome.case.number, "words": outcome.words})
        found["count"] += 1
        return first

    def line(self, name: str) -> str:
        counted = self.counts.get(name, {})
        parts = ", ".join(f"{counted.get(kind, 0)} {kind}" for kind in (*GOOD, "findings"))
        return f"{name}: {self.done(name)} mutations, {parts}"

    def markdown(self) -> str:
        rows = [
            f"Seed {self.seed}.",
            "",
            "| format | mutations | read | refused | findings |",
            "|---|---|---|---|---|",
        ]
        for name, counted in self.counts.items():
            cells = (name, self.done(name), *(counted.get(kind, 0) for kind in (*GOOD, "findings")))
            rows.append(f"| {' | '.join(map(str, cells))} |")
        rows += ["", "| finding | times | first mutation | words |", "|---|---|---|---|"]
        for words, found in self.findings.items():
            said = found["words"].replace("|", "/").replace("\n", " ")[:120]
            rows.append(f"| {words} | {found['count']} | {found['case']} | {said} |")
        return "\n".join(rows) + "\n"

    def write(self, json_path: Path | None, markdown_path: Path | None) -> None:
        if json_path is not None:
            content = {"seed": self.seed, "counts": self.counts, "findings": self.findings}
            json_path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if markdown_path is not None:
            markdown_path.write_text(self.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
