"""`python -m meshtest.conformance`: replay golden scenarios and show what differs. For developers.

PYTHONPATH=tests/lib python -m meshtest.conformance --scenario kv --diff
... --list                            names and sizes
... --row KV5                         only mismatches of these surface rows
... --command "consul"                another executable that understands `agent -config-file`
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import shlex
import sys
from collections import Counter
from collections.abc import Iterable

from meshtest.replay import Outcome, replay
from meshtest.requirements import on_purpose, ratchet
from meshtest.scenario import load, scenario_names


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m meshtest.conformance", description=__doc__)
    parser.add_argument("--scenario", action="append", default=[], help="name or glob, may be repeated (default: all)")
    parser.add_argument("--diff", action="store_true", help="print each mismatching step and how it differs")
    parser.add_argument("--built", action="store_true", help="with --diff: leave out what is not built yet (501)")
    parser.add_argument("--row", action="append", default=[], help="with --diff: only these rows of the surface")
    parser.add_argument("--limit", type=int, default=0, help="with --diff: at most so many steps of each scenario")
    parser.add_argument("--rows", action="store_true", help="count the mismatches by row")
    parser.add_argument("--command", default="", help="the executable to run instead of meshagent")
    parser.add_argument("--keep", action="store_true", help="keep the agent's directory and log")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON")
    parser.add_argument(
        "--ratchet", action="store_true", help="raise tests/conformance/required.toml to what is reached"
    )
    parser.add_argument("--list", action="store_true", help="print the scenarios and stop")
    options = parser.parse_args(argv)
    patterns = options.scenario or ["*"]
    names = [name for name in scenario_names() if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    if not names:
        parser.error(f"no scenario matches {patterns}; there are: {' '.join(scenario_names())}")
    if options.list:
        for name in names:
            scenario = load(name)
            print(f"{name:24} {scenario.total:4}  {scenario.about}")
        return 0
    outcomes = []
    for name in names:
        outcome = replay(load(name), command=shlex.split(options.command) or None, keep=options.keep)
        outcome.on_purpose = on_purpose(name)
        outcomes.append(outcome)
        if options.json:
            continue
        print(line(outcome), flush=True)
        for remark in outcome.remarks:
            print(f"    {remark}")
        if options.diff:
            print_mismatches(outcome, options.row, options.limit, options.built)
        if options.rows:
            counts = Counter(mismatch.row for mismatch in outcome.mismatches)
            print("    " + "  ".join(f"{row}:{count}" for row, count in counts.most_common()))
    if options.ratchet:
        print("\n".join(f"raised {one}" for one in ratchet(outcomes)) or "nothing to raise")
    if options.json:
        json.dump([as_json(outcome) for outcome in outcomes], sys.stdout, indent=1)
    elif len(outcomes) > 1:
        print(f"\n{table(outcomes)}")
    return 0 if all(not outcome.mismatches for outcome in outcomes) else 1


def line(outcome: Outcome) -> str:
    text = f"{outcome.name:24} {outcome.matched:4}/{outcome.total:<4} {outcome.percent:5.1f} %"
    text += f"  {outcome.seconds:5.1f} s"
    if outcome.intended:
        text += f"  ({outcome.intended} differ on purpose)"
    if outcome.unbuilt:
        text += f"  ({outcome.unbuilt} not built; {outcome.percent_of_built:.1f} % of the rest)"
    return text


def table(outcomes: Iterable[Outcome]) -> str:
    rows = list(outcomes)
    matched, total = sum(row.matched for row in rows), sum(row.total for row in rows)
    sums = f"{'all':24} {matched:4}/{total:<4} {100 * matched / total if total else 100:5.1f} %"
    return "\n".join([f"{'scenario':24} matched/total", *(line(row) for row in rows), sums])


def print_mismatches(outcome: Outcome, rows: list[str], limit: int, built: bool = False) -> None:
    shown = [one for one in outcome.mismatches if not rows or one.row in rows]
    if built:
        shown = [one for one in shown if not any("got 501" in text for text in one.differences)]
    for mismatch in shown[: limit or None]:
        note = f"  # {mismatch.note}" if mismatch.note else ""
        print(f"  step {mismatch.number} [{mismatch.row}] {mismatch.request}{note}")
        for difference in mismatch.differences:
            print(f"      {difference}")
    if limit and len(shown) > limit:
        print(f"  … and {len(shown) - limit} more steps")


def as_json(outcome: Outcome) -> dict[str, object]:
    return {
        "scenario": outcome.name,
        "matched": outcome.matched,
        "total": outcome.total,
        "percent": round(outcome.percent, 1),
        "remarks": outcome.remarks,
        "mismatches": [
            {"step": one.number, "row": one.row, "request": one.request, "differences": one.differences}
            for one in outcome.mismatches
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
