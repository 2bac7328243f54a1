"""I/O edge: configuration files and the host they are read on.

Source: surface row G1: a file's name says its format (`.json`, `.hcl`) unless `format` does; a directory gives its
files of these names in order of name, without its subdirectories. What a text means is not decided here.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path

from meshagent.agent.config.resolve import Host
from meshagent.agent.sockaddr import Interface
from meshagent.errors import ConfigError
from meshagent.hcl import Parsed, parse_hcl, parse_json

__all__ = ["FORMATS", "read_paths", "this_host"]

FORMATS = ("hcl", "json")
_PARSERS = {"hcl": parse_hcl, "json": parse_json}


def this_host() -> Host:
    """The machine we run on; its addresses are read when first asked for."""
    return Host(socket.gethostname(), _interfaces, _lacks_folder)


def _interfaces() -> list[Interface]:
    from meshagent.agent.interfaces import host_interfaces

    return host_interfaces()


def _lacks_folder(path: str) -> bool:
    try:
        return not stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # what we may not look into may be there
        return False


def read_paths(paths: Sequence[str], format: str = "") -> tuple[list[Parsed], list[str], list[str]]:
    """(texts in order, problems, warnings) of files and directories, in the order given."""
    texts: list[Parsed] = []
    problems: list[str] = []
    warnings: list[str] = []
    if format and format not in FORMATS:
        return texts, [f"-config-format must be one of {', '.join(FORMATS)}, not {format!r}"], warnings
    for given in paths:
        path = Path(given)
        try:
            path.stat()
            files = sorted(f for f in path.iterdir() if not f.is_dir()) if path.is_dir() else [path]
        except OSError as error:
            problems.append(f"config: cannot read {given}: {error.strerror}")
            continue
        for file in files:
            kind = format or file.suffix.removeprefix(".")
            if kind not in FORMATS:
                warnings.append(f"skipping file {file}, extension must be .hcl or .json, or config format must be set")
                continue
            try:
                texts.append(_PARSERS[kind](file.read_text(encoding="utf-8"), str(file)))
            except OSError as error:
                problems.append(f"config: cannot read {file}: {error.strerror}")
            except UnicodeDecodeError as error:
                problems.append(f"{file}: not UTF-8 text, at byte {error.start}")
            except ConfigError as error:
                problems += error.problems
    return texts, problems, warnings
