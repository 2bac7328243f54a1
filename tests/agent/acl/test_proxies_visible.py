from meshagent.agent.acl.access import OPEN, Access
from meshagent.agent.acl.proxies_visible import seen_by
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.rules import Rule
from meshagent.connect.snapshot import Outbound, ProxySnapshot

SNAPSHOT = ProxySnapshot(
    proxy_id="web-proxy", service="web", datacenter="dc1", trust_domain="x", default_allow=False, default_reason="",
    outbound=(Outbound(name="db", address="127.0.0.1", port=1),),
)  # fmt: skip


def test_who_sees_everything_and_who_misses_nothing_get_the_same_object() -> None:
    assert seen_by(OPEN, SNAPSHOT) is SNAPSHOT
    assert seen_by(Access(Authorizer((Rule("service", "web", False, "write"),))), SNAPSHOT) is SNAPSHOT
