"""I/O edge: where the sidecars of a host are found: a directory of sockets that only their user can enter.

`MESHAGENT_PROXY_DIR`, else `$XDG_RUNTIME_DIR/meshagent`, else `/run/meshagent/proxies` for root, else a directory of
the user below the temporary one.

Source: the XDG base directory specification. What may change here: nothing without `tap` and `top`, which look there.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from meshagent.errors import MeshError

__all__ = ["SUFFIX", "made", "place_of", "socket_of", "sockets"]

SUFFIX = ".sock"
#: What a Unix socket's name may have (108 with its end on Linux).
_LONGEST = 100


def place_of(environ: Mapping[str, str]) -> Path:
    """The directory."""
    given = environ.get("MESHAGENT_PROXY_DIR", "")
    if given:
        return Path(given)
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "meshagent"
    if os.geteuid() == 0 and Path("/run").is_dir():
        return Path("/run/meshagent/proxies")
    import tempfile  # with all that packs archives, half a MB

    return Path(tempfile.gettempdir()) / f"meshagent-{os.geteuid()}"


def made(folder: Path) -> Path:
    """The directory, there and safe to use. Raises MeshError when it is another's, OSError when it cannot be made."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise MeshError(f"{folder} is not a directory of this user alone")
    return folder


def socket_of(folder: Path, proxy_id: str) -> Path:
    """Where the sidecar of that id listens; long and strange ids are shortened."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", proxy_id)
    path = folder / f"{name}{SUFFIX}"
    if name != proxy_id or len(os.fsencode(path)) > _LONGEST:
        path = folder / f"{name[:20]}-{hashlib.sha256(proxy_id.encode()).hexdigest()[:12]}{SUFFIX}"
    return path


def sockets(folder: Path) -> list[Path]:
    """All there are; some may be of processes that ended."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and path.is_socket())
    except OSError:
        return []
