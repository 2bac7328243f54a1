"""Rows of access control: hashes of their content, digests of secrets."""

from __future__ import annotations

import msgspec

from meshagent.catalog.acl.model import Policy, Token, content_hash, secret_digest


def test_the_hash_is_of_the_content_alone() -> None:
    one = Token(accessor_id="a", secret_id="b", description="d", policies=("p",), create_index=1)
    other = Token(accessor_id="c", secret_id="d", description="d", policies=("p",), modify_index=9)
    assert content_hash(one) == content_hash(other)
    assert content_hash(one) != content_hash(msgspec.structs.replace(one, policies=()))
    assert content_hash(Policy(id="1", name="a", rules="x")) == content_hash(Policy(id="2", name="a", rules="x"))
    assert content_hash(Policy(name="a", rules="x")) != content_hash(Policy(name="a", rules="y"))


def test_secrets_are_looked_up_by_a_digest() -> None:
    assert secret_digest("a") != secret_digest("b")
    assert len(secret_digest("\ud800")) == 32  # what a hostile header may hold


def test_rows_go_through_the_log_and_back() -> None:
    row = Token(accessor_id="a", secret_id="b", expiration_time="x", policies=("p",))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=Token) == row
