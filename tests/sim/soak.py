"""Run seeds of the simulation for as long as one asks: `python tests/sim/soak.py --minutes 60 [--first N]`.

Prints each failing seed with what happened last, and goes on; the status says whether there was one.
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--first", type=int, default=1000, help="the first seed")
    parser.add_argument("--profile", help="what goes wrong (default: what the seed says)")
    parser.add_argument("--stack", action="store_true", help="with forwarding and the RPC port over byte streams")
    parser.add_argument("--chaos-s", type=float, default=5.0, help="how long things go wrong, in the cluster's time")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    end = time.monotonic() + 60 * options.minutes
    totals: collections.Counter[str] = collections.Counter()
    failed: list[int] = []
    seconds = 0.0
    for seed in itertools.count(options.first):
        if time.monotonic() >= end:
            break
        try:
            outcome = run_seed(seed, profile=options.profile, chaos_s=options.chaos_s, stack=options.stack)
        except Broken as error:
            failed.append(seed)
            profile = f" --profile {options.profile}" if options.profile else ""
            print(f"{error}\n  replay: python -m pytest tests/sim/test_seeds.py --seed {seed}{profile}", flush=True)
        else:
            seconds += outcome.seconds
            totals.update(outcome.facts)
            totals["seeds"] += 1
    print(f"{totals['seeds']} seeds held, {seconds / 3600:.2f} simulated hours; failed: {failed or 'none'}")
    print(", ".join(f"{name} {count:g}" for name, count in sorted(totals.items())))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
