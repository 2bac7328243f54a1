"""I/O edge: what listeners have in common: Unix sockets on disk, and what a user is told when one cannot listen.

Source: bind(2) and listen(2) for the reasons; surface row G11 for the options. What may change here: advice, one row a
reason.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from meshagent.errors import ConfigError

__all__ = ["cannot_listen", "clear_way", "own_socket"]

#: Why an address could not be bound -> what to do about it; `{option}` is the option that names the address.
_ADVICE = {
    errno.EADDRINUSE: "is another agent running? Stop it, or change {option}",
    errno.EADDRNOTAVAIL: "this host does not have that address; change {option}",
    errno.EACCES: "a port below 1024 needs CAP_NET_BIND_SERVICE, a Unix socket a folder this user may write to",
}


def cannot_listen(option: str, place: str, error: OSError) -> ConfigError:
    """The error to raise when `place`, which `option` asks for, cannot be listened on.

    Event loops put the address and the reason into one text again, so the words come from the number.
    """
    number = error.errno or 0  # negative when a name cannot be resolved
    reason = os.strerror(number).lower() if number > 0 else error.strerror or str(error)
    advice = _ADVICE.get(number, "change {option}").format(option=option)
    return ConfigError(f"{option}: cannot listen on {place}: {reason}: {advice}")


def clear_way(path: Path) -> None:
    """Remove a socket that was left there. Raises FileExistsError when something else is there."""
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise FileExistsError(f"{path} exists and is not a socket")
    path.unlink(missing_ok=True)


def own_socket(path: Path, mode: int | None, user: str, group: str) -> None:
    """Give a socket its permissions and owner (names or numbers). Raises OSError."""

    def number(text: str) -> int | str | None:
        return int(text) if text.isdigit() else text or None

    if mode is not None:
        os.chmod(path, mode)
    if user or group:
        import shutil  # brings archives with it

        shutil.chown(path, number(user), number(group))  # type: ignore[arg-type]
