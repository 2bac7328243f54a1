"""msgspec without `typing_extensions`, which it takes two names from that `typing` has since Python 3.11.

0.6 MB that stay in an idle agent. msgspec falls back to `typing` when the import fails. Whoever imports
`typing_extensions` later gets it.

Source: measured with tracemalloc; msgspec/_utils.py. What may change here: nothing but removal, when msgspec looks at
the version itself.
"""

from __future__ import annotations

import sys
from importlib import import_module

__all__ = ["prepare"]

_NAME = "typing_extensions"


def prepare() -> None:
    """Import msgspec, unless one of the two has been imported."""
    if _NAME in sys.modules or "msgspec" in sys.modules:
        return
    sys.modules[_NAME] = None  # type: ignore[assignment]
    try:
        import_module("msgspec")
    finally:
        del sys.modules[_NAME]
