"""`python tests/chaos/broken.py NAME agent ...`: the daemon with one rule taken out (meshtest/chaos/builds.py)."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from meshtest.chaos.builds import BUILDS

if __name__ == "__main__":
    name = sys.argv.pop(1)
    with ExitStack() as stack:
        BUILDS[name].change(stack)
        from meshagent.agent.cli import main

        main()
