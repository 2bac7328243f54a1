"""aiohttp without its client, until somebody wants it.

`import aiohttp.web_protocol` first runs the package itself, which imports the whole client: 90 ms and 5 MB that an
agent without docker checks never uses (0.7 s to the first answer and 60 MB are all it has). `prepare()` puts the
package into place unexecuted. Its submodules import as ever; the first name that only the package has
(`aiohttp.ClientSession`) runs it, and from then on it is as if it had been imported normally.

Source: measured with `-X importtime`; docs.python.org/3/reference/import.html. What may change here: nothing but
removal, when aiohttp imports its client lazily itself.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["prepare"]

_VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)


class _Unexecuted(ModuleType):
    """The package before anybody asked for something of its own."""

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if spec is None or spec.loader is None or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        if any((Path(folder) / f"{name}.py").exists() for folder in self.__path__):
            return import_module(f"{self.__name__}.{name}")
        object.__setattr__(self, "__class__", ModuleType)
        try:
            spec.loader.exec_module(self)
        except BaseException:
            object.__setattr__(self, "__class__", _Unexecuted)  # whoever asks next tries again
            raise
        return getattr(self, name)


def prepare(name: str = "aiohttp") -> None:
    """Put the package `name` into place unexecuted, unless it has been imported or looks unfamiliar."""
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is None or spec.origin is None or spec.submodule_search_locations is None:
        return
    version = _VERSION.search(Path(spec.origin).read_text(encoding="utf-8"))
    if version is None:
        return
    module = module_from_spec(spec)
    module.__dict__["__version__"] = version[1]
    module.__class__ = _Unexecuted
    sys.modules[name] = module
