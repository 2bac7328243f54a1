"""I/O edge: `meshagent debug`: an archive of what an agent is, does and logs, for whoever helps.

Source: surface row CL24; developer.hashicorp.com/consul/commands/debug. Static facts are written once, figures and
profiles each interval, the log as it comes. No token and no key is in it: the API hides them. What may change here:
further captures, a row each; names of files are as Consul's.
"""

from __future__ import annotations

import contextlib
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from meshagent.agent.cli.client import ApiError, Client
from meshagent.agent.cli.flags import api_command, expect, text
from meshagent.agent.cli.output import aligned, fail, say
from meshagent.clock import SystemClock
from meshagent.durations import parse_duration
from meshagent.errors import MeshError

__all__ = ["debug"]

#: Capture -> (file, path) of what is read once.
_STATIC = {
    "agent": ("agent.json", "agent/self"),
    "host": ("host.json", "agent/host"),
    "members": ("members.json", "agent/members"),
}
CAPTURES = (*_STATIC, "metrics", "logs", "pprof")


@api_command("debug", short_help="Record what an agent does, into an archive")
@text("duration", "How long to record", default="5m")
@text("interval", "Time between figures", default="30s")
@text("since", "Not built: the log is recorded from now on")
@text("output", "Name of the archive, without ending (debug-<time>)")
@text("archive", "Pack into <output>.tar.gz: true or false", default="true")
@text("capture", f"What to record; may be repeated: {', '.join(CAPTURES)} (all)", multiple=True)
def debug(
    client: Client,
    args: tuple[str, ...],
    duration: str,
    interval: str,
    since: str,
    output: str,
    archive: str,
    capture: tuple[str, ...],
) -> int:
    """Record facts, figures, profiles and the log of an agent for a while. Profiles need `enable_debug`, or ACLs and a
    token with `operator = "read"`."""
    expect(args, 0, 0)
    seconds, every = _seconds("duration", duration), _seconds("interval", interval)
    unknown = [name for name in capture if name not in CAPTURES]
    if unknown:
        raise fail(f"-capture: {unknown[0]!r} is not one of {', '.join(CAPTURES)}")
    wanted = set(capture or CAPTURES)
    clock = SystemClock()
    now = clock.now()
    folder = Path(output or f"debug-{now:%Y-%m-%dT%H-%M-%SZ}")
    try:
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise fail(f"-output: cannot make {folder}: {error.strerror}") from None
    version = client.get("agent/self")["Config"]["Version"]
    say("Starting debugger and capturing static information...")
    rows = [("Agent Version:", version), ("Interval:", interval), ("Duration:", duration), ("Output:", str(folder))]
    say(aligned([*rows, ("Capture:", ", ".join(name for name in CAPTURES if name in wanted))]))
    problems: list[str] = []
    for name, (file, path) in _STATIC.items():
        if name in wanted:
            _keep(folder / file, partial(_read, client, path), problems)
    say("==> Beginning capture interval (Ctrl-C ends it)...")
    started = clock.monotonic()
    with _log(client, folder / "consul.log", wanted, problems):
        try:
            _figures(client, folder, wanted, clock, seconds, every, problems)
        except KeyboardInterrupt:
            say("Ended before its time")
    facts = {"Version": version, "Interval": interval, "Duration": duration, "Targets": sorted(wanted)}
    took = {"Timestamp": now.isoformat(), "Seconds": round(clock.monotonic() - started, 3)}
    _write(folder / "index.json", _pretty({**facts, **took, "Problems": problems}))
    for problem in problems:
        say(f"not recorded: {problem}")
    if archive.lower() in {"0", "f", "false"}:
        say(f"Saved debug directory: {folder}")
    else:
        say(f"Saved debug archive: {_packed(folder)}")
    return 0


def _seconds(flag: str, word: str) -> float:
    try:
        found = parse_duration(word) / 1e9
    except ValueError as error:
        raise fail(f"invalid value for -{flag}: {error}") from None
    if found < 1:
        raise fail(f"-{flag} must be at least 1s, not {word}")
    return found


def _figures(
    client: Client,
    folder: Path,
    wanted: set[str],
    clock: SystemClock,
    seconds: float,
    every: float,
    problems: list[str],
) -> None:
    pause = threading.Event()
    number = 0
    end = clock.monotonic() + seconds
    while (left := end - clock.monotonic()) > 0:
        step = folder / f"{number}"
        step.mkdir(mode=0o700)
        due = clock.monotonic() + min(every, left)
        if "metrics" in wanted:
            _keep(step / "metrics.json", partial(_read, client, "agent/metrics"), problems)
        if "pprof" in wanted:
            for kind in ("profile", "goroutine", "heap"):
                query = {"seconds": str(max(1, int(min(every, left, 10.0))))} if kind == "profile" else {}
                _keep(step / f"{kind}.txt", partial(_profile, client, kind, query), problems)
                if any("/debug/pprof" in problem for problem in problems):
                    wanted.discard("pprof")  # said once
                    break
        number += 1
        pause.wait(max(0.0, due - clock.monotonic()))


def _read(client: Client, path: str) -> bytes:
    return _pretty(client.get(path))


def _profile(client: Client, kind: str, query: dict[str, str]) -> bytes:
    try:
        return client.request("GET", f"/debug/pprof/{kind}", query).body
    except ApiError as error:
        raise MeshError(f"/debug/pprof/{kind}: {error}; is enable_debug set?") from None


def _keep(file: Path, read: Callable[[], bytes], problems: list[str]) -> None:
    try:
        _write(file, read())
    except MeshError as error:
        problems.append(f"{file.name}: {error}")


def _pretty(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def _write(file: Path, data: bytes) -> None:
    file.touch(mode=0o600)
    file.write_bytes(data)


@contextlib.contextmanager
def _log(client: Client, file: Path, wanted: set[str], problems: list[str]) -> Iterator[None]:
    """Write the log to `file` meanwhile, by a thread that ends with the process."""
    if "logs" not in wanted:
        yield
        return
    file.touch(mode=0o600)

    def follow() -> None:
        try:
            with file.open("w", encoding="utf-8") as out:
                for line in client.lines("agent/monitor", {"loglevel": "debug"}):
                    out.write(f"{line}\n")
                    out.flush()
        except (MeshError, OSError) as error:
            problems.append(f"{file.name}: {error}")

    threading.Thread(target=follow, name="log", daemon=True).start()
    yield


def _packed(folder: Path) -> Path:
    """The folder as an archive in its place."""
    target = folder.with_name(f"{folder.name}.tar.gz")
    target.touch(mode=0o600)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with tarfile.open(target, "w:gz") as out:
        for path in files:
            out.add(path, arcname=str(Path(folder.name) / path.relative_to(folder)))
    for path in files:
        path.unlink()
    for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        path.rmdir()
    folder.rmdir()
    return target
