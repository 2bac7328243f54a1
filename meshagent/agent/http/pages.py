"""I/O edge: the web page: its files under `ui_config.content_path`, from the package or from `ui_config.dir`.

Every path that names no file gets `index.html`: the page finds its way by itself. `{{path}}`, `{{datacenter}}` and
`{{metrics}}` in it are filled in. `metrics-providers.js` is the user's scripts one after the other. Files of the
package are read once; those of a directory each time, so that they can be worked on.

Source: surface rows C25, IN8, G25. What may change here: further kinds of files, a row each. The page itself is in
`agent/ui`: it reads the API as any client does, with the token its user gives, and loads nothing from elsewhere.
"""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath

from meshagent.agent.http.response import Response

__all__ = ["ROBOTS", "Page", "page"]

log = logging.getLogger("agent.http")

ROBOTS = Response(200, b"User-agent: *\nDisallow: /\n")

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
#: No script, style or address but our own; no frame around us. A page of the user's own may need more.
_GUARDS = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
)
_SCRIPTS = "metrics-providers.js"
_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Page:
    """What the page is told: `path` is the content path, `metrics` JSON (`ui_config.metrics_provider` and what goes
    with it), `scripts` files of the user's; `directory` holds another page, "" for ours."""

    path: str
    datacenter: str
    directory: str = ""
    metrics: str = "{}"
    scripts: tuple[str, ...] = ()


def page(name: str, about: Page) -> Response:
    """The file `name` (what follows the content path in the request), or index.html."""
    directory = about.directory
    if name == _SCRIPTS and not directory:
        return _joined(about.scripts)
    parts = PurePosixPath(name).parts
    kind = _KINDS.get(PurePosixPath(name).suffix, "")
    if kind and ".." not in parts and not name.startswith("/"):
        body = _read(directory, name)
        if body is not None:
            return Response(200, body, () if directory else _GUARDS, kind)
        if name.startswith("app."):
            return Response(404, b"")
    index = _read(directory, "index.html")
    if index is None:
        return Response(404, b"ui_config.dir holds no index.html")
    import html  # its table of entities takes 0.3 MB

    for word, value in (
        (b"{{path}}", about.path),
        (b"{{datacenter}}", about.datacenter),
        (b"{{metrics}}", about.metrics),
    ):
        index = index.replace(word, html.escape(value).encode())
    return Response(200, index, (*(() if directory else _GUARDS), ("Cache-Control", "no-cache")), _KINDS[".html"])


def _joined(scripts: tuple[str, ...]) -> Response:
    """The scripts one after the other; one that cannot be read is named to the browser's console."""
    bodies = []
    for path in scripts:
        try:
            if Path(path).stat().st_size > _MAX_BYTES:
                raise OSError("too large")
            bodies.append(Path(path).read_bytes())
        except OSError as error:
            log.warning("metrics provider cannot be read: file=%s error=%s", path, error)
            bodies.append(b'console.error("a file of ui_config.metrics_provider_files cannot be read");')
    return Response(200, b"\n;\n".join(bodies), (*_GUARDS, ("Cache-Control", "no-cache")), _KINDS[".js"])


def _read(directory: str, name: str) -> bytes | None:
    return _own(name) if not directory else _of(Path(directory), name)


@functools.cache
def _files() -> frozenset[str]:
    return frozenset(file.name for file in resources.files("meshagent.agent").joinpath("ui").iterdir())


@functools.lru_cache(maxsize=64)
def _own(name: str) -> bytes | None:
    if name not in _files():
        return None
    return resources.files("meshagent.agent").joinpath("ui", name).read_bytes()


def _of(directory: Path, name: str) -> bytes | None:
    try:
        root = directory.resolve(strict=True)
        file = (root / name).resolve(strict=True)
        if not file.is_relative_to(root) or not file.is_file() or file.stat().st_size > _MAX_BYTES:
            return None
        return file.read_bytes()
    except OSError:
        return None
