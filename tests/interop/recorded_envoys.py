"""All recorded scenarios with a real agent and real Envoys: what each Envoy holds is what one held under a real Consul.

    python tests/interop/recorded_envoys.py [SCENARIO...]      (all: two minutes; `make envoy-scenarios`)

Source: tests/data/golden/mesh/README.md. tests/interop/test_envoy_recorded.py runs a handful of them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from meshtest.envoyreplay import deviations, scenarios  # noqa: E402
from meshtest.envoyscenarios import played  # noqa: E402

ALLOWED = ROOT / "tests" / "connect" / "envoy" / "deviations.toml"


def main(names: list[str]) -> int:
    """The status: 1 when something is not as recorded."""
    allowed = deviations(ALLOWED)
    wrong = 0
    for recorded in scenarios():
        if names and recorded.name not in names:
            continue
        with tempfile.TemporaryDirectory(prefix="envoys-") as folder:
            rows = [row for row in allowed if row.scenario == recorded.name]
            try:
                problems = played(recorded, Path(folder), rows)
            except AssertionError as error:
                problems = [str(error)]
        print(f"{'good' if not problems else 'WRONG':6} {recorded.name}", flush=True)
        for problem in problems[:20]:
            print(f"    {problem[:2000]}")
        wrong += bool(problems)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
