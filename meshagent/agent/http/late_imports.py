"""What aiohttp's server half imports and an agent hardly ever uses: put off until it is used.

aiohttp takes a few names from `email`, `urllib.request`, `tempfile`, `mimetypes`, `attr` and `html`: 3 MB that stay.
`prepare()` imports both while small modules stand in for those; the names they give load the
real module when they are called. Then the stand-ins are gone: whoever imports these modules gets the real ones. If
aiohttp takes another name from one of them, everything is imported as ever.

Source: measured with tracemalloc; docs.python.org/3/reference/import.html. What may change here: rows of `_STAND_INS`;
nothing but removal, when aiohttp imports less itself.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["prepare"]


class _Late:
    """A value of a module that is imported when something of it is wanted."""

    def __init__(self, module: str, name: str) -> None:
        self._from = (module, name)

    def __getattr__(self, name: str) -> Any:
        module, own = object.__getattribute__(self, "_from")
        return getattr(getattr(import_module(module), own), name)


def _called(module: str, name: str) -> Callable[..., Any]:
    """A function of a module that is imported when it is called."""
    return lambda *args, **kwargs: getattr(import_module(module), name)(*args, **kwargs)


def _attrs(*, auto_attribs: bool, frozen: bool, slots: bool) -> Callable[[type], type]:
    """`attr.s` as aiohttp uses it: no more than what a dataclass does."""
    if not auto_attribs:
        raise ImportError("attr.s is used in another way")
    return dataclasses.dataclass(frozen=frozen, slots=slots)


class _Message:
    """Base of aiohttp's message class until a header is parsed."""


def _header_parser(kind: type, **options: Any) -> Any:
    """A real parser of a real message: `kind` is a subclass of the stand-in, which adds nothing."""
    message = import_module("email.message").EmailMessage
    return import_module("email.parser").HeaderParser(type(kind.__name__, (kind, message), {}), **options)


#: Module -> what is taken from it.
_STAND_INS: dict[str, dict[str, Any]] = {
    "attr": {"s": _attrs},
    "email.message": {"EmailMessage": _Message},
    "email.parser": {"HeaderParser": _header_parser},
    "email.policy": {"HTTP": _Late("email.policy", "HTTP")},
    "email.utils": {"parsedate": _called("email.utils", "parsedate")},
    "mimetypes": {name: _called("mimetypes", name) for name in ("guess_type", "guess_file_type")},
    "tempfile": {"SpooledTemporaryFile": _called("tempfile", "SpooledTemporaryFile")},
    "html": {"escape": _called("html", "escape")},
    "urllib.request": {name: _called("urllib.request", name) for name in ("getproxies", "proxy_bypass")},
}
_USERS = ("aiohttp.helpers", "aiohttp.web_protocol", "aiohttp.web_request")


def prepare() -> None:
    """Import what uses the stand-ins, unless it has been imported."""
    if any(user in sys.modules for user in _USERS):
        return
    given: dict[str, ModuleType] = {}
    for name, members in _STAND_INS.items():
        if name not in sys.modules:
            module = ModuleType(name)
            module.__dict__.update(members)
            given[name] = sys.modules[name] = module
    try:
        for user in _USERS:
            import_module(user)
    except (ImportError, AttributeError, TypeError):
        for name in [name for name in sys.modules if name.startswith("aiohttp.")]:
            del sys.modules[name]  # it wants more than it used to: import it again, with the real ones
    finally:
        for name, module in given.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
