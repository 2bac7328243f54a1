"""I/O edge: what this machine is and how it fares, for `agent/host`.

Source: surface row A2 (memory, processors, host, disk; Consul warns that the shape may change), psutil and /proc.
Blocks for a moment; call it in a thread. What may change here: everything a platform cannot tell is 0 or "".
"""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path
from typing import Any

__all__ = ["host_facts"]

_MEMINFO = {
    "buffers": "Buffers", "cached": "Cached", "writeBack": "Writeback", "dirty": "Dirty",
    "writeBackTmp": "WritebackTmp", "shared": "Shmem", "slab": "Slab", "sreclaimable": "SReclaimable",
    "sunreclaim": "SUnreclaim", "pageTables": "PageTables", "swapCached": "SwapCached", "commitLimit": "CommitLimit",
    "committedAS": "Committed_AS", "highTotal": "HighTotal", "highFree": "HighFree", "lowTotal": "LowTotal",
    "lowFree": "LowFree", "swapTotal": "SwapTotal", "swapFree": "SwapFree", "mapped": "Mapped",
    "vmallocTotal": "VmallocTotal", "vmallocUsed": "VmallocUsed", "vmallocChunk": "VmallocChunk",
}  # fmt: skip
#: These are counts of pages, not kilobytes.
_HUGE_PAGES = {
    "hugePagesTotal": "HugePages_Total", "hugePagesFree": "HugePages_Free", "hugePagesRsvd": "HugePages_Rsvd",
    "hugePagesSurp": "HugePages_Surp",
}  # fmt: skip


def host_facts(data_dir: str, collected_ns: int) -> dict[str, Any]:
    """The object of `agent/host`; the disk is the one that holds `data_dir`."""
    errors: list[str] = []
    parts: dict[str, Any] = {}
    for name, ask in (("Memory", _memory), ("CPU", _processors), ("Host", _host), ("Disk", lambda: _disk(data_dir))):
        try:
            parts[name] = ask()
        except (OSError, ValueError) as error:
            parts[name] = None
            errors.append(f"{name}: {error}")
    return {**parts, "CollectionTime": collected_ns, "Errors": errors or None}


def _memory() -> dict[str, Any]:
    import psutil

    now = psutil.virtual_memory()
    known = _meminfo()
    facts: dict[str, Any] = {
        "total": now.total,
        "available": now.available,
        "used": now.used,
        "usedPercent": now.percent,
        "free": now.free,
        "active": getattr(now, "active", 0),
        "inactive": getattr(now, "inactive", 0),
        "wired": 0,
        "laundry": 0,
    }
    facts |= {ours: known.get(theirs, 0) * 1024 for ours, theirs in _MEMINFO.items()}
    facts |= {ours: known.get(theirs, 0) for ours, theirs in _HUGE_PAGES.items()}
    facts["hugePageSize"] = known.get("Hugepagesize", 0) * 1024
    return facts


def _meminfo() -> dict[str, int]:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name: int(rest.split()[0]) for name, _, rest in pairs if rest.split()}


def _processors() -> list[dict[str, Any]]:
    try:
        blocks = Path("/proc/cpuinfo").read_text().strip().split("\n\n")
    except OSError:
        blocks = [""] * (os.cpu_count() or 1)
    return [_processor(number, block) for number, block in enumerate(blocks)]


def _processor(number: int, block: str) -> dict[str, Any]:
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in block.splitlines())}
    return {
        "cpu": number,
        "vendorId": fields.get("vendor_id", ""),
        "family": fields.get("cpu family", ""),
        "model": fields.get("model", ""),
        "stepping": int(fields.get("stepping", "0")) if fields.get("stepping", "0").isdigit() else 0,
        "physicalId": fields.get("physical id", ""),
        "coreId": fields.get("core id", ""),
        "cores": 1,
        "modelName": fields.get("model name", platform.processor()),
        "mhz": float(fields.get("cpu MHz", "0") or 0),
        "cacheSize": int((fields.get("cache size", "0").split() or ["0"])[0]),
        "flags": (fields.get("flags") or fields.get("Features", "")).split(),
        "microcode": fields.get("microcode", ""),
    }


def _host() -> dict[str, Any]:
    import psutil

    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    booted = int(psutil.boot_time())
    return {
        "hostname": socket.gethostname(),
        "uptime": _uptime(),
        "bootTime": booted,
        "procs": len(psutil.pids()),
        "os": platform.system().lower(),
        "platform": release.get("ID", ""),
        "platformFamily": release.get("ID_LIKE", release.get("ID", "")).split(" ")[0],
        "platformVersion": release.get("VERSION_ID", ""),
        "kernelVersion": platform.release(),
        "kernelArch": platform.machine(),
        "virtualizationSystem": "",
        "virtualizationRole": "",
        "hostId": _machine_id(),
    }


def _uptime() -> int:
    try:
        return int(float(Path("/proc/uptime").read_text().split()[0]))
    except (OSError, ValueError, IndexError):
        return 0


def _machine_id() -> str:
    try:
        text = Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:])) if len(text) == 32 else text


def _disk(data_dir: str) -> dict[str, Any]:
    path = data_dir or "/"
    found = os.statvfs(path)
    block = found.f_frsize
    total, free = found.f_blocks * block, found.f_bavail * block
    used = total - found.f_bfree * block
    inodes_used = found.f_files - found.f_ffree
    return {
        "path": path,
        "fstype": "",
        "total": total,
        "free": free,
        "used": used,
        "usedPercent": 100.0 * used / (used + free) if used + free else 0.0,
        "inodesTotal": found.f_files,
        "inodesUsed": inodes_used,
        "inodesFree": found.f_ffree,
        "inodesUsedPercent": 100.0 * inodes_used / found.f_files if found.f_files else 0.0,
    }
