"""I/O edge: an Envoy in place of this process, with a bootstrap that nobody else can read.

The bootstrap holds a token, so it is in no argument and in no file: it is in memory (memfd), and Envoy reads it by the
number of the descriptor that it inherits, which is one of the paths below /dev that it takes.

Source: surface row CL19; developer.hashicorp.com/consul/commands/connect/envoy ("Exec security details", "Envoy hot
restart"); envoyproxy.io "Command line options". What may change here: nothing of what Envoy is given.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from typing import NoReturn

from meshagent.errors import MeshError

__all__ = ["arguments", "exec_envoy", "find_binary", "version_of"]

_VERSION_WAIT_S = 30.0
#: When a listener changes (another intention, another certificate), requests on connections that it had are answered,
#: then these are closed, at the latest after so many seconds. Envoy by itself would take ten minutes: so long would a
#: client go on that is denied now. consul-dataplane starts its Envoys the same way.
_DRAIN = (("--drain-strategy", "immediate"), ("--drain-time-s", "30"))
#: Whoever gives one of these to Envoy restarts it hot.
_HOT_RESTART = ("--restart-epoch", "--hot-restart-version", "--drain-time-s", "--parent-shutdown-time-s")


def find_binary(given: str) -> str:
    """The path of Envoy. Raises MeshError."""
    name = given or "envoy"
    found = shutil.which(name)
    if found is None:
        where = "no such file, or no program" if os.sep in name else "executable file not found in $PATH"
        raise MeshError(f'exec: "{name}": {where}')
    return found


def version_of(binary: str) -> str:
    """What `envoy --version` says: "1.40.0". Raises MeshError."""
    try:
        line = [binary, "--version"]
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=_VERSION_WAIT_S)  # noqa: S603
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise MeshError(f"Couldn't get envoy version for compatibility check: {error}") from None
    # envoy  version: 1d5a2f.../1.40.0/Clean/RELEASE/BoringSSL
    found = re.search(r"/(\d+\.\d+\.\d+)(?:[-/]|$)", done.stdout)
    if found is None:
        said = (done.stdout or done.stderr).strip()[:200]
        raise MeshError(f"Couldn't get envoy version for compatibility check: it says {said!r}")
    return found[1]


def arguments(binary: str, path: str, passed: Sequence[str]) -> list[str]:
    """What Envoy is started with; `passed` are those of the user."""
    given = {word.partition("=")[0] for word in passed}
    own = [] if given & set(_HOT_RESTART) else ["--disable-hot-restart"]
    for name, value in _DRAIN:
        own += [] if name in given else [name, value]
    return [binary, "--config-path", path, *own, *passed]


def exec_envoy(binary: str, passed: Sequence[str], bootstrap: str) -> NoReturn:
    """Become Envoy. Raises MeshError when that does not come about."""
    descriptor = _held(bootstrap.encode())
    os.set_inheritable(descriptor, True)
    try:
        os.execv(binary, arguments(binary, f"/dev/fd/{descriptor}", passed))  # noqa: S606  no shell
    except OSError as error:
        raise MeshError(f"failed to exec {binary}: {error.strerror}") from None


def _held(data: bytes) -> int:
    """A descriptor of a file without a name that has `data`, at its beginning."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("envoy-bootstrap.json")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
