"""Where sidecars are found, and that nobody else put the directory there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from meshagent.connect.proxy.telemetry.places import made, place_of, socket_of, sockets
from meshagent.errors import MeshError


def test_the_directory(tmp_path: Path) -> None:
    assert place_of({"MESHAGENT_PROXY_DIR": "/x"}) == Path("/x")
    assert place_of({"XDG_RUNTIME_DIR": str(tmp_path)}) == tmp_path / "meshagent"
    folder = made(tmp_path / "a" / "b")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_directory_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(MeshError, match="this user alone"):
        made(tmp_path / "open")
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(MeshError, match="this user alone"):
        made(tmp_path / "link")


def test_names_are_short_plain_and_different(tmp_path: Path) -> None:
    names = {socket_of(tmp_path, one).name for one in ("a", "a/b", "a_b", "x" * 300, "x" * 301)}
    assert len(names) == 5
    assert all("/" not in name and len(name) < 100 for name in names)
    assert socket_of(tmp_path, "web-sidecar-proxy").name == "web-sidecar-proxy.sock"


def test_sockets_and_nothing_else(tmp_path: Path) -> None:
    assert sockets(tmp_path / "none") == []
    (tmp_path / "file.sock").write_text("")
    before = os.getcwd()
    os.chdir(tmp_path)  # a socket's name is short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("a.sock")
    finally:
        os.chdir(before)
    assert [path.name for path in sockets(tmp_path)] == ["a.sock"]
