"""Sort a million keys without holding the loop: in steps of about a millisecond.

Source: Frazer and McKellar, "Samplesort" (1970): splitters taken from a sample cut all keys into buckets of similar
size, each of which is sorted by itself.

What may be changed: sizes, with `tests/catalog/raft/stalls.py` as the judge.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

__all__ = ["sorted_in_steps"]

BUCKET_KEYS = 2000
OVERSAMPLED = 8  # keys in the sample for each bucket: more make the buckets more equal


def sorted_in_steps(runs: list[list[str]]) -> Iterator[list[str]]:
    """The keys of all `runs` (each sorted, all keys different) in ascending lists; an empty list is a pause.

    `runs` is emptied on the way.
    """
    total = sum(map(len, runs))
    splitters = _splitters(runs, total)
    buckets: list[list[str]] = [[] for _ in range(len(splitters) + 1)]
    runs.reverse()
    while runs:
        run = runs.pop()
        begin = 0
        for bucket in range(bisect_left(splitters, run[0]) if run else 0, len(splitters)):
            if begin == len(run):
                break
            end = bisect_left(run, splitters[bucket], begin)
            if end > begin:
                buckets[bucket] += run[begin:end]
                begin = end
        buckets[-1] += run[begin:]
        yield []
    buckets.reverse()
    while buckets:
        bucket_keys = buckets.pop()
        bucket_keys.sort()
        yield bucket_keys


def _splitters(runs: list[list[str]], total: int) -> list[str]:
    count = total // BUCKET_KEYS
    if not count:
        return []
    stride = total // (count * OVERSAMPLED) | 1  # odd: not always the same places of runs of an even length
    sample: list[str] = []
    offset = 0
    for run in runs:
        sample += run[offset::stride]
        offset = (offset - len(run)) % stride
    sample.sort()
    return sorted(set(sample[OVERSAMPLED::OVERSAMPLED]))
