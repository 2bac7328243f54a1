"""The replicated tables of access control.

Source: surface rows AC1-AC14. Rows come validated (`validation.py`) and with ids and times; here are the rules that
need all rows: names are unique, what a method made goes with it. Links to what was deleted are left in the rows and
mean nothing. Deterministic: no clock, no chance.

Topics: `("acl-token", accessor)`, `("acl-policy", id)`, `("acl-role", id)`, and the tables `"acl-tokens"`,
`"acl-policies"`, `"acl-roles"`, `"acl-auth-methods"`, `"acl-binding-rules"`. What may change here: a table is a row in
`snapshot.py` too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.catalog.acl.model import AuthMethod, BindingRule, Policy, Role, Token, secret_digest
from meshagent.catalog.watch import Watches
from meshagent.errors import Denied, InternalError

if TYPE_CHECKING:
    from meshagent.catalog.acl import commands

__all__ = ["AclTables"]


class AclTables:
    """All of it of one datacenter. Every setter answers the (create, modify) indexes of the row."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self.tokens: dict[str, Token] = {}
        self.policies: dict[str, Policy] = {}
        self.roles: dict[str, Role] = {}
        self.methods: dict[str, AuthMethod] = {}
        self.rules: dict[str, BindingRule] = {}
        #: Index at which the first token was made, 0 while it may still be made.
        self.bootstrap_index = 0
        #: Accessor -> when its token was last used (RFC 3339), as far as the servers have told.
        self.used: dict[str, str] = {}
        #: Accessors of tokens that end, with when.
        self.expiring: dict[str, str] = {}
        self._index: dict[str, int] = {}
        self._by_secret: dict[bytes, str] = {}
        self._names: dict[tuple[str, str], str] = {}

    # --- reading -----------------------------------------------------------------------------------------------

    def index(self, table: str) -> int:
        """Of the last change of a table ("tokens", "policies", "roles", "auth-methods", "binding-rules"), at least
        1.
        """
        return self._index.get(table, 1)

    @property
    def indexes(self) -> dict[str, int]:
        """All of them, for a snapshot."""
        return dict(self._index)

    def by_secret(self, secret: str) -> Token | None:
        """The token with that secret."""
        return self.by_digest(secret_digest(secret))

    def by_digest(self, digest: bytes) -> Token | None:
        """The token whose secret has that SHA-256."""
        accessor = self._by_secret.get(digest)
        return None if accessor is None else self.tokens.get(accessor)

    def policy_named(self, name: str) -> Policy | None:
        """The policy of that name."""
        return self.policies.get(self._names.get(("policy", name), ""))

    def role_named(self, name: str) -> Role | None:
        """The role of that name."""
        return self.roles.get(self._names.get(("role", name), ""))

    def rules_of(self, method: str) -> list[BindingRule]:
        """The binding rules of a method, by id."""
        return [self.rules[key] for key in sorted(self.rules) if self.rules[key].auth_method == method]

    # --- tokens ------------------------------------------------------------------------------------------------

    def bootstrap(self, command: commands.AclBootstrap, index: int) -> tuple[int, int]:
        """Make the first token, once; again only by who knows the index of the last time.

        Raises:
            Denied: it was done already.
        """
        if self.bootstrap_index and command.reset_index != self.bootstrap_index:
            raise Denied(f"Permission denied: ACL bootstrap no longer allowed (reset index: {self.bootstrap_index})")
        done = self._set_token(command.token, index)
        self.bootstrap_index = index
        return done

    def set_token(self, command: commands.AclTokenSet, index: int) -> tuple[int, int]:
        """Create or replace a token. Raises InternalError: its secret is that of another; its method has gone."""
        token = command.token
        if token.auth_method and token.auth_method not in self.methods and not command.replicated:
            raise InternalError(f'cannot find auth method with name "{token.auth_method}"')
        if command.create and token.accessor_id in self.tokens:
            raise InternalError("Invalid Token: AccessorID is already in use")
        return self._set_token(token, index)

    def _set_token(self, token: Token, index: int) -> tuple[int, int]:
        digest = secret_digest(token.secret_id)
        holder = self._by_secret.get(digest)
        if holder is not None and holder != token.accessor_id:
            raise InternalError("Invalid Token: SecretID is already in use")
        old = self.tokens.get(token.accessor_id)
        created = index if old is None else old.create_index
        if old is not None:
            self._unlink(old)
        self._link(msgspec.structs.replace(token, create_index=created, modify_index=index))
        self._changed("tokens", index, ("acl-token", token.accessor_id))
        return created, index

    def delete_tokens(self, command: commands.AclTokensDelete, index: int) -> int:
        """Delete tokens; those that are unknown are ignored. How many there were."""
        return self._drop_tokens(command.accessors, index)

    def _drop_tokens(self, accessors: Iterable[str], index: int) -> int:
        count = 0
        for accessor in accessors:
            old = self.tokens.get(accessor)
            if old is not None:
                count += 1
                self._unlink(old)
                del self.tokens[accessor]
                self.used.pop(accessor, None)
                self._watches.notify(("acl-token", accessor))
        if count:
            self._changed("tokens", index)
        return count

    def note_used(self, command: commands.AclTokensUsed, index: int) -> None:
        """Remember when tokens were used; no index moves for that."""
        for accessor, at in command.used:
            if accessor in self.tokens and at > self.used.get(accessor, ""):
                self.used[accessor] = at

    def _link(self, token: Token) -> None:
        self.tokens[token.accessor_id] = token
        self._by_secret[secret_digest(token.secret_id)] = token.accessor_id
        if token.expiration_time:
            self.expiring[token.accessor_id] = token.expiration_time

    def _unlink(self, token: Token) -> None:
        self._by_secret.pop(secret_digest(token.secret_id), None)
        self.expiring.pop(token.accessor_id, None)

    # --- policies and roles ------------------------------------------------------------------------------------

    def set_policy(self, command: commands.AclPolicySet, index: int) -> tuple[int, int]:
        """Create or replace a policy. Raises InternalError: the name is taken."""
        policy = command.policy
        old = self.policies.get(policy.id)
        self._take_name("policy", policy.name, policy.id, "A Policy with Name" if old is None else "A policy with name")
        return self._set(self.policies, "policies", "policy", policy.id, policy, old, index)

    def delete_policy(self, command: commands.AclPolicyDelete, index: int) -> bool:
        """Delete a policy. Whether it was there."""
        return self._delete(self.policies, "policies", "policy", command.id, index)

    def set_role(self, command: commands.AclRoleSet, index: int) -> tuple[int, int]:
        """Create or replace a role. Raises InternalError: the name is taken."""
        role = command.role
        old = self.roles.get(role.id)
        self._take_name("role", role.name, role.id, "A Role with Name" if old is None else "A role with name")
        return self._set(self.roles, "roles", "role", role.id, role, old, index)

    def delete_role(self, command: commands.AclRoleDelete, index: int) -> bool:
        """Delete a role. Whether it was there."""
        return self._delete(self.roles, "roles", "role", command.id, index)

    def _take_name(self, kind: str, name: str, row_id: str, whose: str) -> None:
        if self._names.get((kind, name), row_id) != row_id:
            raise InternalError(f'Invalid {kind.title()}: {whose} "{name}" already exists')

    def _set(
        self, rows: dict[str, Any], table: str, kind: str, row_id: str, row: Any, old: Any, index: int
    ) -> tuple[int, int]:
        created = index if old is None else old.create_index
        if old is not None:
            self._names.pop((kind, old.name), None)
        rows[row_id] = msgspec.structs.replace(row, create_index=created, modify_index=index)
        self._names[kind, row.name] = row_id
        self._changed(table, index, (f"acl-{kind}", row_id))
        return created, index

    def _delete(self, rows: dict[str, Any], table: str, kind: str, row_id: str, index: int) -> bool:
        old = rows.pop(row_id, None)
        if old is None:
            return False
        self._names.pop((kind, old.name), None)
        self._changed(table, index, (f"acl-{kind}", row_id))
        return True

    # --- logging in --------------------------------------------------------------------------------------------

    def set_method(self, command: commands.AclMethodSet, index: int) -> tuple[int, int]:
        """Create or replace an auth method. Raises InternalError: its type cannot change."""
        method = command.method
        old = self.methods.get(method.name)
        if old is not None and old.type != method.type:
            raise InternalError("the Type field of an Auth Method is immutable")
        created = index if old is None else old.create_index
        self.methods[method.name] = msgspec.structs.replace(method, create_index=created, modify_index=index)
        self._changed("auth-methods", index)
        return created, index

    def delete_method(self, command: commands.AclMethodDelete, index: int) -> bool:
        """Delete a method with its binding rules and the tokens of its logins. Whether it was there."""
        if self.methods.pop(command.name, None) is None:
            return False
        self._changed("auth-methods", index)
        for rule in self.rules_of(command.name):
            del self.rules[rule.id]
        self._changed("binding-rules", index)
        gone = sorted(token.accessor_id for token in self.tokens.values() if token.auth_method == command.name)
        self._drop_tokens(gone, index)
        self._changed("tokens", index)
        return True

    def set_rule(self, command: commands.AclBindingRuleSet, index: int) -> tuple[int, int]:
        """Create or replace a binding rule. Raises InternalError: its method does not exist."""
        rule = command.rule
        if rule.auth_method not in self.methods:
            raise InternalError(f'cannot find auth method with name "{rule.auth_method}"')
        old = self.rules.get(rule.id)
        created = index if old is None else old.create_index
        self.rules[rule.id] = msgspec.structs.replace(rule, create_index=created, modify_index=index)
        self._changed("binding-rules", index)
        return created, index

    def delete_rule(self, command: commands.AclBindingRuleDelete, index: int) -> bool:
        """Delete a binding rule. Whether it was there."""
        if self.rules.pop(command.id, None) is None:
            return False
        self._changed("binding-rules", index)
        return True

    # --- snapshots ---------------------------------------------------------------------------------------------

    def load_tokens(self, rows: Iterable[Token]) -> None:
        """Fill the table from a snapshot."""
        for row in rows:
            self._link(row)

    def load_policies(self, rows: Iterable[Policy]) -> None:
        """Fill the table from a snapshot."""
        for row in rows:
            self.policies[row.id] = row
            self._names["policy", row.name] = row.id

    def load_roles(self, rows: Iterable[Role]) -> None:
        """Fill the table from a snapshot."""
        for row in rows:
            self.roles[row.id] = row
            self._names["role", row.name] = row.id

    def load_methods(self, rows: Iterable[AuthMethod]) -> None:
        """Fill the table from a snapshot."""
        self.methods.update((row.name, row) for row in rows)

    def load_rules(self, rows: Iterable[BindingRule]) -> None:
        """Fill the table from a snapshot."""
        self.rules.update((row.id, row) for row in rows)

    def load_indexes(self, bootstrap_index: int, indexes: dict[str, int]) -> None:
        """What a snapshot knows beside the rows."""
        self.bootstrap_index = bootstrap_index
        self._index = dict(indexes)

    def _changed(self, table: str, index: int, *topics: tuple[str, str]) -> None:
        self._index[table] = index
        self._watches.notify(f"acl-{table}")
        for topic in topics:
            self._watches.notify(topic)
