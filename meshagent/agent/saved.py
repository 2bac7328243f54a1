"""The files of saved registrations: what stands in them, and how they become registrations again.

Source: surface rows G6, K14. Pure: bytes and values; `persist.py` reads and writes the files. The form is Consul's, so
that a host keeps its registrations when it changes over; what Consul keeps besides is skipped. What may change here:
keys may be added with a default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from meshagent.agent.decode import decode, to_builtins
from meshagent.agent.definitions import CheckDefinition, ServiceCheck
from meshagent.agent.local import LocalState
from meshagent.agent.registration import LocalCheck, LocalService
from meshagent.catalog.model import Check, Service
from meshagent.errors import InternalError, MeshError

__all__ = [
    "CheckState",
    "Loaded",
    "SavedCheck",
    "SavedService",
    "decode_check",
    "decode_service",
    "decode_state",
    "encode_check",
    "encode_service",
    "encode_state",
    "restore",
]

_SIDECAR = "-sidecar-proxy"
#: Keys of Consul's own files that say nothing here.
_FOREIGN_KEYS = frozenset({"EnterpriseMeta", "ProxyHTTP", "ProxyGRPC", "RaftIndex"})


@dataclass(frozen=True, slots=True)
class SavedService:
    """A service as it was saved."""

    service: Service
    token: str = ""
    sidecar_of: str = ""


@dataclass(frozen=True, slots=True)
class SavedCheck:
    """A check as it was saved."""

    check: Check
    definition: CheckDefinition | None = None
    token: str = ""


@dataclass(frozen=True, slots=True)
class CheckState:
    """The last word of a TTL check, good until the Unix second `expires`."""

    check_id: str
    status: str
    output: str
    expires: float


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was found, and what was wrong with the rest."""

    services: tuple[SavedService, ...] = ()
    checks: tuple[SavedCheck, ...] = ()
    states: Mapping[str, CheckState] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def encode_service(entry: LocalService) -> bytes:
    """The file of a service."""
    return _json(
        {
            "Token": entry.token,
            "Source": "remote",
            "LocallyRegisteredAsSidecar": bool(entry.sidecar_of),
            "Service": msgspec.to_builtins(entry.registered),
        }
    )


def decode_service(data: bytes) -> SavedService:
    """The service of a file.

    Raises:
        MeshError: it is none.
    """
    raw = _object(data)
    service = decode(Service, _clean(raw.get("Service")), where="Service")
    if not service.id or not service.name:
        raise InternalError("no service id or name in it")
    nested = raw.get("LocallyRegisteredAsSidecar") is True and service.id.endswith(_SIDECAR)
    return SavedService(service, _text(raw, "Token"), service.id.removesuffix(_SIDECAR) if nested else "")


def encode_check(entry: LocalCheck) -> bytes:
    """The file of a check."""
    definition = None if entry.definition is None else to_builtins(entry.definition)
    row = msgspec.to_builtins(entry.check)
    return _json({"Token": entry.token, "Source": "remote", "Check": row, "ChkType": definition})


def decode_check(data: bytes) -> SavedCheck:
    """The check of a file.

    Raises:
        MeshError: it is none.
    """
    raw = _object(data)
    check = decode(Check, _clean(raw.get("Check")), where="Check")
    if not check.check_id:
        raise InternalError("no check id in it")
    definition: CheckDefinition | None = None
    if raw.get("ChkType") is not None:
        given = decode(ServiceCheck, _clean(raw["ChkType"]), where="ChkType")
        definition = given.resolved(id=check.check_id, name=check.name, service_id=check.service_id)
        if not definition.kind:
            definition = None
    return SavedCheck(check, definition, _text(raw, "Token"))


def encode_state(state: CheckState) -> bytes:
    """The file of a TTL check's last word."""
    return _json(
        {"CheckID": state.check_id, "Status": state.status, "Output": state.output, "Expires": int(state.expires)}
    )


def decode_state(data: bytes) -> CheckState:
    """The last word in a file.

    Raises:
        MeshError: there is none.
    """
    raw = _object(data)
    expires = raw.get("Expires")
    if not isinstance(expires, int | float) or _text(raw, "Status") not in {"passing", "warning", "critical"}:
        raise InternalError("no status or time in it")
    return CheckState(_text(raw, "CheckID"), _text(raw, "Status"), _text(raw, "Output"), float(expires))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _object(data: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InternalError(f"not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise InternalError("not a JSON object")
    return raw


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key, "")
    if not isinstance(value, str):
        raise InternalError(f"{key} is not text")
    return value


def _clean(raw: Any) -> Any:
    if not isinstance(raw, dict):
        raise InternalError("a part of it is missing")
    return {
        key: _clean(value) if key in {"Proxy", "Connect"} and isinstance(value, dict) else value
        for key, value in raw.items()
        if key not in _FOREIGN_KEYS
    }


def restore(local: LocalState, loaded: Loaded, now: datetime) -> list[str]:
    """Register what was saved, where configuration files have not registered the same id; what went wrong.

    The last word of a TTL check counts while it is younger than the TTL (surface row K14).
    """
    problems = list(loaded.problems)
    for service in loaded.services:
        if service.service.id not in local.services:
            local.put_service(service.service, token=service.token, sidecar_of=service.sidecar_of)
    for saved in loaded.checks:
        check_id = saved.check.check_id
        if check_id in local.checks:
            continue
        state = loaded.states.get(check_id)
        try:
            local.allow(saved.definition, "api")
            local.put_check(saved.check, saved.definition, token=saved.token)
        except MeshError as error:
            problems.append(f"check {check_id!r} was not restored: {error}")
            continue
        if state is not None and state.expires > now.timestamp() and saved.definition and saved.definition.ttl > 0:
            local.update_check(check_id, state.status, state.output)
    return problems
