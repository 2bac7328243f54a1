"""Simulated pools beside the formulas of memberlist and Lifeguard: `python tests/sim/gossip_report.py [--quick]`.

Everything follows from the seed (`--seed`). About ten minutes; `--quick` leaves out the largest pools and the hour,
`--only` and `--size` choose a part (`--only spread --size 5000`).
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "lib"))

from meshtest import gossipexperiments as experiments
from meshtest import serfexperiments

from meshagent.agent.gossip.settings import LAN


class Wanted(NamedTuple):
    """Which part of the report."""

    quick: bool
    sizes: tuple[int, ...]

    def has(self, size: int) -> bool:
        return size in self.sizes if self.sizes else not (self.quick and size >= 5000)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="spread, detection, loss, lifeguard, idle or serf")
    parser.add_argument("--size", type=int, action="append", default=[], help="pools of this many nodes only")
    options = parser.parse_args()
    began = time.perf_counter()
    for name, section in SECTIONS.items():
        if options.only in ("", name):
            section(options.seed, Wanted(options.quick, tuple(options.size)))
            print(flush=True)
    print(f"{time.perf_counter() - began:.0f} s of real time")


def spread(seed: int, wanted: Wanted) -> None:
    print("Convergence, LAN (fanout 3, 200 ms); seconds, mean of the runs; formula: serf's convergence simulator, 99 %")
    print(f"{'':22} {'runs':>5} {'50 %':>6} {'99 %':>6} {'all':>6} {'formula':>8}")
    for size, times in ((128, 20), (1000, 20), (5000, 5)):
        if not wanted.has(size):
            continue
        for what, experiment in (("join", experiments.join), ("change", experiments.change)):
            row = experiment(size, seed=seed, times=times)
            print(
                f"{what + f', {size} nodes':22} {row.times:5} {row.half_s:6.2f} {row.most_s:6.2f} {row.all_s:6.2f}"
                f" {row.formula_s:8.2f}",
                flush=True,
            )


def detection(seed: int, wanted: Wanted) -> None:
    print("A killed node, LAN; seconds from the kill until the first takes it for dead, and until all do")
    print(f"{'':22} {'kills':>5} {'mean':>6} {'bound':>6} {'p99':>6} {'bound':>6} {'all p99':>8} {'false deaths':>13}")
    for size, times, loss in (
        (100, 300, 0.0),
        (100, 100, 0.05),
        (1000, 10, 0.0),
        (5000, 1, 0.0),
    ):
        if not wanted.has(size):
            continue
        row = experiments.detection(size, seed=seed, times=times, loss=loss)
        print(
            f"{f'{size} nodes, {loss:.0%} loss':22} {row.times:5} {row.mean_s:6.1f} {row.formula_mean_s:6.1f}"
            f" {row.p99_s:6.1f} {row.formula_p99_s:6.1f} {row.all_p99_s:8.1f} {row.false_deaths:13}",
            flush=True,
        )


def loss(seed: int, wanted: Wanted) -> None:
    hours = 0.1 if wanted.quick else 1.0
    print(f"Packet loss, 100 nodes, {hours:g} h of virtual time, nobody fails")
    print(f"{'':34} {'suspicions':>11} {'deaths':>7}")
    for share, settings, name in (
        (0.05, LAN, "5 %"),
        (0.05, replace(LAN, tcp_pings=False), "5 %, without TCP pings"),
        (0.25, replace(LAN, tcp_pings=False), "25 %, without TCP pings"),
    ):
        row = experiments.false_positives(100, seed=seed, hours=hours, loss=share, settings=settings)
        print(f"{name:34} {row['suspicions']:11.0f} {row['deaths']:7.0f}", flush=True)


def lifeguard(seed: int, wanted: Wanted) -> None:
    minutes = 1 if wanted.quick else 2
    print(f"Lifeguard's experiment: 128 nodes, some slow for 16.4 s, well for 4 ms, and so on; {minutes} min of it")
    print("How often a node took one for dead that was well; 'at the well': nodes that were well themselves")
    print(
        f"{'slow':>8} {'SWIM':>8} {'Lifeguard':>10} {'SWIM, at the well':>18} {'Lifeguard':>10} (paper: > 50 x fewer)"
    )
    for slow in (4, 8, 16, 32):
        swim, guarded = (
            experiments.anomalies(128, slow, seed=seed, settings=settings, minutes=minutes, slow_s=16.384, well_s=0.004)
            for settings in (experiments.PLAIN_SWIM, LAN)
        )
        print(
            f"{slow:8} {swim.of_the_well:8} {guarded.of_the_well:10} {swim.at_the_well:11} {guarded.at_the_well:16}",
            flush=True,
        )


def idle(seed: int, wanted: Wanted) -> None:
    print("Bytes a second that a node sends when nothing happens, LAN, plain")
    print(f"{'nodes':>8} {'probes':>8} {'with push/pull':>15} {'formula':>8}")
    for size in (100, 1000, 5000):
        if not wanted.has(size):
            continue
        row = experiments.idle(size, seed=seed, seconds=60 if size < 5000 else 20)
        print(f"{row.nodes:8} {row.probes:8.0f} {row.with_push_pull:15.0f} {row.formula:8.0f}", flush=True)


def serf(seed: int, wanted: Wanted) -> None:
    print("serf's layer, LAN: user events and queries; seconds, mean; formula: 99 % of serf's convergence simulator")
    heads = ("50 %", "99 %", "all", "formula", "missed", "clocks apart", "acks in 3 s")
    print(f"{'':24} " + " ".join(f"{head:>{max(7, len(head))}}" for head in heads))
    for size, loss in ((100, 0.0), (100, 0.05), (1000, 0.0)):
        if not wanted.has(size) or (wanted.quick and size >= 1000):
            continue
        row = serfexperiments.events(size, seed=seed, count=5, loss=loss)
        asked = serfexperiments.queries(size, seed=seed, count=3, timeout_s=3.0, loss=loss)
        print(
            f"{f'{size} nodes, {loss:.0%} loss':24} {row.half_s:7.2f} {row.most_s:7.2f} {row.all_s:7.2f}"
            f" {row.formula_s:7.2f} {row.missed:7} {row.clock_gap:12} {asked.acked:11.1%}",
            flush=True,
        )


SECTIONS = {"spread": spread, "detection": detection, "loss": loss, "lifeguard": lifeguard, "idle": idle, "serf": serf}

if __name__ == "__main__":
    main()
