"""Built-in policies are those of a running Consul."""

from __future__ import annotations

import json
from pathlib import Path

from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.builtin import POLICIES
from meshagent.catalog.acl.rules import parse_rules

GOLDEN = Path(__file__).parents[2] / "data/golden/http/acl-bootstrap.json"


def test_their_rules_are_upstreams() -> None:
    steps = json.loads(GOLDEN.read_text())["steps"]
    recorded = {
        step["response"]["json"]["ID"]: step["response"]["json"]["Rules"]
        for step in steps
        if step["request"]["path"].startswith("/v1/acl/policy/0000")
    }
    assert {policy.id: policy.rules for policy in POLICIES} == recorded


def test_one_reads_and_one_writes_everything() -> None:
    writes, reads = (Authorizer(parse_rules(policy.rules)) for policy in POLICIES)
    for resource in ("acl", "keyring", "operator", "mesh", "peering"):
        assert writes.allows(resource, "", "write")
        assert reads.allows(resource, "", "read") and not reads.allows(resource, "", "write")
    for resource in ("agent", "event", "key", "node", "query", "service", "session", "intentions"):
        assert writes.allows(resource, "x", "write")
        assert reads.allows(resource, "x", "read") and not reads.allows(resource, "x", "write")
