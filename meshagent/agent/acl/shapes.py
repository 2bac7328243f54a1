"""Rows of access control as the API shows them.

Source: surface rows AC5-AC15. Links are shown with id and name, empty lists are left out, a link to what was deleted is
gone. A secret is shown to who may write ACLs. What may change here: fields of later releases.
"""

from __future__ import annotations

from typing import Any

from meshagent.catalog.acl.granted import granted
from meshagent.catalog.acl.identities import TEMPLATES, Template
from meshagent.catalog.acl.model import (
    AuthMethod,
    BindingRule,
    NodeIdentity,
    Policy,
    Role,
    ServiceIdentity,
    TemplatedPolicy,
    Token,
    content_hash,
)
from meshagent.catalog.acl.tables import AclTables
from meshagent.durations import format_duration

__all__ = ["expanded", "listed_method", "listed_policy", "method", "policy", "role", "rule", "template", "token"]

HIDDEN = "<hidden>"


def _indexes(row: Any) -> dict[str, int]:
    return {"CreateIndex": row.create_index, "ModifyIndex": row.modify_index}


def _service(one: ServiceIdentity) -> dict[str, Any]:
    found: dict[str, Any] = {"ServiceName": one.service_name}
    if one.datacenters:
        found["Datacenters"] = one.datacenters
    return found


def _node(one: NodeIdentity) -> dict[str, Any]:
    return {"NodeName": one.node_name, "Datacenter": one.datacenter}


def _templated(one: TemplatedPolicy) -> dict[str, Any]:
    held = TEMPLATES.get(one.template_name)
    found: dict[str, Any] = {"TemplateID": held.id if held is not None else "", "TemplateName": one.template_name}
    if one.name:
        found["TemplateVariables"] = {"name": one.name}
    if one.datacenters:
        found["Datacenters"] = one.datacenters
    return found


def _links(tables: AclTables, row: Token | Role) -> dict[str, Any]:
    policies = [{"ID": key, "Name": tables.policies[key].name} for key in row.policies if key in tables.policies]
    lists = {
        "Policies": policies,
        "Roles": [{"ID": key, "Name": tables.roles[key].name} for key in row.roles if key in tables.roles]
        if isinstance(row, Token)
        else [],
        "ServiceIdentities": [_service(one) for one in row.service_identities],
        "NodeIdentities": [_node(one) for one in row.node_identities],
        "TemplatedPolicies": [_templated(one) for one in row.templated_policies],
    }
    return {name: found for name, found in lists.items() if found}


def token(tables: AclTables, row: Token, *, secret: bool) -> dict[str, Any]:
    """A token; with its secret only where that is allowed."""
    found: dict[str, Any] = {
        "AccessorID": row.accessor_id,
        "SecretID": row.secret_id if secret else HIDDEN,
        "Description": row.description,
        **_links(tables, row),
        "Local": row.local,
    }
    if row.auth_method:
        found["AuthMethod"] = row.auth_method
    if row.expiration_time:
        found["ExpirationTime"] = row.expiration_time
    return {**found, "CreateTime": row.create_time, "Hash": content_hash(row), **_indexes(row)}


def expanded(tables: AclTables, row: Token, *, node: str, default_policy: str, down_policy: str) -> dict[str, Any]:
    """What a token comes to: all policies and roles, and what decides where no rule speaks."""
    found = granted(tables, row)
    return {
        "ExpandedPolicies": [policy(one) for one in found.policies] or None,
        "ExpandedRoles": [role(tables, one) for one in found.roles] or None,
        "NamespaceDefaultPolicyIDs": None,
        "NamespaceDefaultRoleIDs": None,
        "AgentACLDefaultPolicy": default_policy,
        "AgentACLDownPolicy": down_policy,
        "ResolvedByAgent": node,
    }


def policy(row: Policy) -> dict[str, Any]:
    """A policy with its rules."""
    found: dict[str, Any] = {
        "ID": row.id,
        "Name": row.name,
        "Description": row.description,
        "Rules": row.rules,
    }
    if row.datacenters:
        found["Datacenters"] = row.datacenters
    return {**found, "Hash": content_hash(row), **_indexes(row)}


def listed_policy(row: Policy) -> dict[str, Any]:
    """A policy in a list: without its rules."""
    return {
        "ID": row.id,
        "Name": row.name,
        "Description": row.description,
        "Datacenters": row.datacenters or None,
        "Hash": content_hash(row),
        **_indexes(row),
    }


def role(tables: AclTables, row: Role) -> dict[str, Any]:
    """A role."""
    return {
        "ID": row.id,
        "Name": row.name,
        "Description": row.description,
        **_links(tables, row),
        "Hash": content_hash(row),
        **_indexes(row),
    }


def listed_method(row: AuthMethod) -> dict[str, Any]:
    """An auth method in a list: without its configuration."""
    found: dict[str, Any] = {"Name": row.name, "Type": row.type}
    if row.display_name:
        found["DisplayName"] = row.display_name
    found["Description"] = row.description
    if row.max_token_ttl:
        found["MaxTokenTTL"] = format_duration(row.max_token_ttl)
    if row.token_locality:
        found["TokenLocality"] = row.token_locality
    return {**found, **_indexes(row)}


def method(row: AuthMethod, *, secrets: bool) -> dict[str, Any]:
    """An auth method; the secrets of its configuration only where that is allowed."""
    config = dict(row.config)
    if not secrets:
        config.update({name: HIDDEN for name in _SECRETS if config.get(name)})
    return {**listed_method(row), "Config": config}


#: What of the configuration of a method lets others act in its name.
_SECRETS = ("ServiceAccountJWT", "OIDCClientSecret")


def rule(row: BindingRule) -> dict[str, Any]:
    """A binding rule."""
    found: dict[str, Any] = {
        "ID": row.id,
        "Description": row.description,
        "AuthMethod": row.auth_method,
        "Selector": row.selector,
        "BindType": row.bind_type,
        "BindName": row.bind_name,
    }
    if row.bind_vars:
        found["BindVars"] = row.bind_vars
    return {**found, **_indexes(row)}


def template(row: Template) -> dict[str, Any]:
    """A templated policy."""
    return {
        "TemplateName": row.name,
        "Schema": row.schema,
        "Template": row.text,
        "Description": row.description,
    }
