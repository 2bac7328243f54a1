"""Intentions as Envoy's RBAC filters: for connections, and for requests. Pure.

Under a default of deny the filter lists who may (ALLOW), under a default of allow who may not (DENY). A rule applies to
whom no more exact one speaks of, so a rule for `*` names those as exceptions. Permissions of one intention are tried in
order: each carries the negation of those before it. What asks for a token and gets none is not allowed under either
default.

What `audit` (ours) allows, the shadow rules deny: Envoy counts it (`rbac.audit.shadow_denied`) and stops nothing.

A source that a wider rule of higher precedence covers (`*` to this service before `web` to all) has no rule of its own
unless both say the same: Consul lists it anyway, and so lets it past its own precedence.

Source: surface rows X7, M26, M50-M54; the recorded resources of a real Consul (golden mesh data, xds); Envoy's RBAC.
What may change here: what a rule looks at; `connect/permissions.py` decides the same for the built-in proxy, and a test
holds that both agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from meshagent.catalog.entries.jwt_provider import JWTProvider
from meshagent.catalog.entries.service_intentions import PermissionHTTP
from meshagent.connect.envoy import request_matchers
from meshagent.connect.envoy.principals import Identities, all_of, negated, token
from meshagent.connect.envoy.resources import Resource, typed
from meshagent.connect.intentions import Intention
from meshagent.connect.peers import Trust

__all__ = ["http", "network"]

_IDS = "ids"
_AUDIT = "audit"
_LAYER4 = "consul-intentions-layer4"
_LAYER7 = "consul-intentions-layer7-{}"


def network(
    intentions: Iterable[Intention], default_allow: bool, trust_domain: str, trusts: Sequence[Trust] = ()
) -> Resource:
    """The filter of connections to one service; `intentions` come the most exact first."""
    fields = _Compiler(default_allow, Identities(trust_domain, trusts), None).fields(tuple(intentions))
    message = typed("envoy.extensions.filters.network.rbac.v3.RBAC", {**fields, "stat_prefix": "connect_authz"})
    return {"name": "envoy.filters.network.rbac", "typed_config": message}


def http(
    intentions: Iterable[Intention],
    default_allow: bool,
    trust_domain: str,
    trusts: Sequence[Trust] = (),
    providers: Sequence[JWTProvider] = (),
) -> Resource:
    """The filter of requests to one service."""
    issuers = {one.name: one.issuer for one in providers}
    fields = _Compiler(default_allow, Identities(trust_domain, trusts, http=True), issuers).fields(tuple(intentions))
    message = typed("envoy.extensions.filters.http.rbac.v3.RBAC", fields)
    return {"name": "envoy.filters.http.rbac", "typed_config": message}


class _Compiler:
    """One filter. `issuers` (by provider) is None for connections, which have neither paths nor tokens."""

    def __init__(self, default_allow: bool, identities: Identities, issuers: Mapping[str, str] | None) -> None:
        self._denies = default_allow
        self._identities = identities
        self._issuers = issuers

    def fields(self, intentions: Sequence[Intention]) -> Resource:
        """What both filters have."""
        found: Resource = {"rules": self.rules(intentions)}
        if any(one.action == _AUDIT for one in intentions):
            found["shadow_rules"] = self.rules([_denying(one) for one in intentions])
            found["shadow_rules_stat_prefix"] = "audit"
        return found

    def rules(self, intentions: Iterable[Intention]) -> Resource:
        """`rules` of either filter."""
        layer4: list[Resource] = []
        policies: Resource = {}
        #: By peer: the first rule of each source.
        seen: dict[str, dict[str, Intention]] = {}
        intentions = tuple(intentions)
        # As Consul numbers them: those of layer 4 together are one.
        layer7 = -1 if all(one.permissions for one in intentions) else 0
        for one in intentions:
            above = seen.setdefault(one.peer, {})
            if not self._is_covered(one, above):
                principal = self._principal(one, above)
                if principal is None:
                    pass
                elif one.permissions and self._issuers is not None:
                    permissions = self._permissions(one)
                    layer7 += bool(permissions)
                    if permissions:
                        policies[_LAYER7.format(layer7)] = {
                            "permissions": permissions,
                            "principals": [self._with_token(one, principal)],
                        }
                else:
                    layer4.extend(self._listed(one, principal))
            above.setdefault(one.source, one)
        if layer4:
            policies[_LAYER4] = {"permissions": [{"any": True}], "principals": layer4}
        found: Resource = {"action": "DENY"} if self._denies else {}
        return {**found, **({"policies": policies} if policies else {})}

    def _is_covered(self, one: Intention, above: Mapping[str, Intention]) -> bool:
        """Whether rules above speak of everybody that this one speaks of."""
        if one.source in above:
            return True
        wider = above.get("*")
        if wider is None:
            return False
        plain = not (wider.permissions or one.permissions or wider.jwt or one.jwt)
        return not plain or _allows(wider) != _allows(one)

    def _principal(self, one: Intention, above: Mapping[str, Intention]) -> Resource | None:
        own = self._identities.of(one.source, one.peer)
        if own is None or one.source != "*":
            return own
        others = [self._identities.of(name, one.peer) for name in above]
        return all_of([own, *(negated(it, _IDS) for it in others if it is not None)], _IDS)

    def _listed(self, one: Intention, principal: Resource) -> list[Resource]:
        """Whom an intention without permissions puts on the list."""
        allows = _allows(one)
        if allows != self._denies:
            return [self._with_token(one, principal)] if allows else [principal]
        if allows and one.jwt is not None and self._issuers is not None:
            return [all_of([principal, negated(token(one.jwt, self._issuers, _IDS), _IDS)], _IDS)]
        return []

    def _with_token(self, one: Intention, principal: Resource) -> Resource:
        if one.jwt is None or self._issuers is None or self._denies:
            return principal
        return all_of([principal, token(one.jwt, self._issuers, _IDS)], _IDS)

    def _permissions(self, one: Intention) -> list[Resource]:
        """Which requests an intention puts on the list."""
        issuers = self._issuers or {}
        found: list[Resource] = []
        if self._denies and one.jwt is not None:
            found.append(negated(token(one.jwt, issuers)))
        before: list[Resource] = []
        for permission in one.permissions:
            own = request(permission.http)
            allows = permission.action == "allow"
            matched = all_of([own, *(negated(it) for it in reversed(before))])
            before.append(own)
            needed = token(permission.jwt, issuers) if permission.jwt is not None else None
            if allows != self._denies:
                found.append(matched if needed is None else all_of([matched, needed]))
            elif allows and needed is not None:
                found.append(all_of([matched, negated(needed)]))
        return found


def _denying(one: Intention) -> Intention:
    """As if what it audits were denied."""
    result: Intention = msgspec.structs.replace(one, action="deny") if one.action == _AUDIT else one
    return result


def _allows(one: Intention) -> bool:
    """Of an intention without permissions; with them, a connection alone is not allowed. `audit` allows."""
    return one.action in {"allow", _AUDIT} and not one.permissions


def request(condition: PermissionHTTP | None) -> Resource:
    """The requests that a permission speaks of."""
    if condition is None:
        return all_of([])
    parts: list[Resource] = []
    if condition.path_exact or condition.path_prefix or condition.path_regex:
        path = request_matchers.text(
            exact=condition.path_exact, prefix=condition.path_prefix, regex=condition.path_regex
        )
        parts.append({"url_path": {"path": path}})
    parts.extend({"header": request_matchers.header(one)} for one in condition.header)
    if condition.methods:
        parts.append({"header": request_matchers.methods(condition.methods)})
    return all_of(parts)
