"""Run seeds of the simulation for as long as one asks: `python tests/sim/soak.py --minutes 60 [--first N]`.

`--stack` runs forwarding and the RPC port with it, `--agents N` so many client agents on top. `--points` instead lets a
server die at every point of the script of `meshtest/sim/script.py`, `--skip N` of them left out, or at the points one
names.

Prints each failing seed or point with what happened last, and goes on; the status says whether there was one.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "lib"))

from meshtest.sim.scenario import Broken, run_seed
from meshtest.sim.script import Point, all_points, parse_point, run_point


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--first", type=int, default=1000, help="the first seed")
    parser.add_argument("--profile", help="what goes wrong (default: what the seed says)")
    parser.add_argument("--stack", action="store_true", help="with forwarding and the RPC port over byte streams")
    parser.add_argument("--agents", type=int, default=0, help="with --stack: so many client agents")
    parser.add_argument("--chaos-s", type=float, default=5.0, help="how long things go wrong, in the cluster's time")
    parser.add_argument("--points", nargs="*", metavar="SERVER:KIND:NUMBER", help="every point of the script, or these")
    parser.add_argument("--skip", type=int, default=0, help="begin behind so many points")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if options.points is not None:
        chosen = [parse_point(text) for text in options.points] or all_points()[options.skip :]
        return run_points(chosen, time.monotonic() + 60 * options.minutes)
    end = time.monotonic() + 60 * options.minutes
    totals: collections.Counter[str] = collections.Counter()
    failed: list[int] = []
    seconds = 0.0
    for seed in itertools.count(options.first):
        if time.monotonic() >= end:
            break
        try:
            outcome = run_seed(
                seed, profile=options.profile, chaos_s=options.chaos_s, stack=options.stack, agents=options.agents
            )
        except Broken as error:
            failed.append(seed)
            profile = f" --profile {options.profile}" if options.profile else ""
            file = ("test_client_agents" if options.agents else "test_forwarding") if options.stack else "test_seeds"
            print(f"{error}\n  replay: python -m pytest tests/sim/{file}.py --seed {seed}{profile}", flush=True)
        else:
            seconds += outcome.seconds
            totals.update(outcome.facts)
            totals["seeds"] += 1
    print(f"{totals['seeds']} seeds held, {seconds / 3600:.2f} simulated hours; failed: {failed or 'none'}")
    print(", ".join(f"{name} {count:g}" for name, count in sorted(totals.items())))
    return bool(failed)


def run_points(points: list[Point], end: float) -> int:
    failed = []
    for done, point in enumerate(points):
        if time.monotonic() >= end:
            print(f"out of time after {done} points, before {point}")
            break
        try:
            run_point(point)
        except Broken as error:
            failed.append(str(point))
            print(f"{error}\n  replay: python tests/sim/soak.py --points {point}", flush=True)
    else:
        done = len(points)
    print(f"{done - len(failed)} of {done} deaths survived; failed: {failed or 'none'}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
