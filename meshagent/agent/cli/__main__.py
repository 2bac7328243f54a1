"""`python -m meshagent.agent.cli`: the same as the installed command."""

from __future__ import annotations

import sys

from meshagent.agent.cli import main

sys.exit(main())
