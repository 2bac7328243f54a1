"""Virtual addresses (surface row M5)."""

from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.virtual_ips import VirtualIPs


def test_they_begin_at_240_0_0_1_and_freed_ones_come_first():
    table = VirtualIPs()
    assert [table.assign(name) for name in "abc"] == ["240.0.0.1", "240.0.0.2", "240.0.0.3"]
    table.release("b")
    table.release("a")
    assert table.assign("d") == "240.0.0.1"
    assert table.get("b") is None
    assert table.assign("c") == "240.0.0.3"


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef")), max_size=40))
def test_no_two_services_share_one_also_after_a_restore(steps):
    table = VirtualIPs()
    for assign, name in steps:
        if assign:
            table.assign(name)
        else:
            table.release(name)
    assert len(set(table.offsets.values())) == len(table.offsets)
    copy = VirtualIPs()
    copy.load(table.offsets)
    new = copy.assign("new")
    assert new not in {table.get(name) for name in table.offsets}


def test_manual_ones_belong_to_one_service_and_go_with_it():
    table = VirtualIPs()
    assert table.set_manual("Web", ("10.0.0.1",)) is None
    table.assign("web")
    table.assign("db")
    assert table.set_manual("Web", ("10.0.0.1", "10.0.0.2")) == []
    assert table.set_manual("db", ("10.0.0.2", "10.0.0.3")) == ["Web"]
    assert table.manual == {"web": ("Web", ("10.0.0.1",)), "db": ("db", ("10.0.0.2", "10.0.0.3"))}
    assert table.set_manual("web", ("10.0.0.4",)) == []
    assert table.set_manual("db", ()) == []
    assert table.manual == {"web": ("web", ("10.0.0.4",))}
    memento = table.memento()
    table.release("web")
    assert not table.manual
    table.rewind(memento)
    assert table.manual == {"web": ("web", ("10.0.0.4",))}
