import msgspec

from meshagent.agent.acl.access import OPEN, Access
from meshagent.agent.acl.proxies_visible import seen_by
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.rules import Rule
from meshagent.connect.snapshot import Outbound, ProxySnapshot
from meshagent.connect.transparent import Transparent

SNAPSHOT = ProxySnapshot(
    proxy_id="web-proxy", service="web", datacenter="dc1", trust_domain="x", default_allow=False, default_reason="",
    outbound=(Outbound(name="db", address="127.0.0.1", port=1),),
)  # fmt: skip


def test_what_a_transparent_proxy_may_reach_is_left_out_where_it_may_not_be_read() -> None:
    virtual = tuple(Outbound(name, "", 0, virtual_ips=("240.0.0.1",)) for name in ("db", "secret"))
    listed = Outbound("secret", "127.0.0.1", 2)
    found = msgspec.structs.replace(SNAPSHOT, outbound=(*virtual, listed), transparent=Transparent())
    rules = (Rule("service", "web", False, "write"), Rule("service", "db", False, "read"))
    shown = seen_by(Access(Authorizer(rules)), found)
    assert [(one.key, one.virtual_ips) for one in shown.outbound] == [
        ("virtual:db", ("240.0.0.1",)),
        ("127.0.0.1:2", ()),
    ]


def test_who_sees_everything_and_who_misses_nothing_get_the_same_object() -> None:
    assert seen_by(OPEN, SNAPSHOT) is SNAPSHOT
    assert seen_by(Access(Authorizer((Rule("service", "web", False, "write"),))), SNAPSHOT) is SNAPSHOT
