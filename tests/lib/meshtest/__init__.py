"""The test kit: golden-answer replay, real processes, and what the suites share.

Importing it moves the repository root and bench/ behind site-packages on sys.path: the link `dns` at the top level
and bench/dns.py would hide dnspython, which judges our DNS bytes as an independent reader.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""The repository."""


def _dnspython_before_rooms() -> None:
    hiding = [entry for entry in sys.path if Path(entry or ".").resolve() in (ROOT, ROOT / "bench")]
    if hiding:
        sys.path[:] = [entry for entry in sys.path if entry not in hiding] + [str(ROOT)]


_dnspython_before_rooms()
