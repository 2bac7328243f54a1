"""Sessions and the locks they hold (surface rows SE1-SE5, E5-E9)."""

import pytest
from meshtest.rows import check, deregister, node, register, service

from meshagent.catalog import queries
from meshagent.catalog.commands import (
    KVDelete,
    KVLock,
    KVSet,
    KVUnlock,
    SessionCreate,
    SessionDestroy,
    Txn,
    TxnCheck,
    TxnKV,
)
from meshagent.catalog.model import Check, KVEntry, Node, ServiceCheck, Session
from meshagent.catalog.sessions import MAX_LOCK_DELAY_NS
from meshagent.catalog.store import Store
from meshagent.errors import InternalError


@pytest.fixture
def store() -> Store:
    """n1 with serfHealth and an instance of web with a check; session "s" of n1 hangs on serfHealth."""
    store = Store()
    register(store, node("n1"), service("web"), check("serfHealth"), check("web-ok", service_id="web"))
    create(store, "s")
    return store


def create(store: Store, session_id: str, **fields: object) -> None:
    given = {"node": "n1", "node_checks": ("serfHealth",), "lock_delay": 15_000_000_000, **fields}
    store.execute(SessionCreate(Session(id=session_id, **given)))  # type: ignore[arg-type]


def entry(store: Store, key: str) -> KVEntry:
    found = queries.kv_get(store, key).rows
    assert found is not None
    return found


class TestCreating:
    def test_it_has_the_index_of_its_creation(self, store: Store):
        row = queries.session(store, "s").rows
        assert row is not None
        assert row.create_index == row.modify_index == store.index
        assert queries.session_list(store).index == store.index

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"node": "gone"}, "Missing node registration"),
            ({"node_checks": ("nope",)}, "Missing check 'nope' registration"),
            ({"node_checks": (), "service_checks": (ServiceCheck(id="nope"),)}, "Missing check 'nope' registration"),
            ({"node_checks": ("sick",)}, "Check 'sick' is in critical state"),
        ],
    )
    def test_se1_refusals(self, store: Store, fields: dict[str, object], text: str):
        register(store, node("n1"), None, check("sick", status="critical"))
        before = store.digest()
        with pytest.raises(InternalError, match=f"^{text}$"):
            create(store, "new", **fields)
        store.index -= 1
        assert store.digest() == before

    def test_an_empty_store_answers_index_1(self):
        assert queries.session_list(Store()).index == 1
        assert queries.session(Store(), "x").rows is None

    def test_se5_lists_are_sorted_and_nodes_compare_without_case(self, store: Store):
        create(store, "b")
        create(store, "a", node="N1")
        assert [row.id for row in queries.session_list(store).rows] == ["a", "b", "s"]
        assert [row.id for row in queries.session_node(store, "n1").rows] == ["a", "b", "s"]
        assert queries.session_node(store, "n2").rows == []


class TestEnding:
    """E5."""

    def test_by_request(self, store: Store):
        store.execute(SessionDestroy("s"))
        assert queries.session(store, "s").rows is None
        assert queries.session(store, "s").index == store.index

    def test_an_unknown_one_moves_no_index(self, store: Store):
        before = queries.session_list(store).index
        store.execute(SessionDestroy("nope"))
        assert queries.session_list(store).index == before

    def test_when_a_check_turns_critical(self, store: Store):
        register(store, node("n1"), None, check("serfHealth", status="warning"))
        assert queries.session(store, "s").rows is not None
        register(store, node("n1"), None, check("SERFhealth", status="critical"))
        assert queries.session(store, "s").rows is None

    def test_when_a_check_goes(self, store: Store):
        deregister(store, "n1", check_id="serfHealth")
        assert queries.session(store, "s").rows is None

    def test_when_the_service_of_a_check_goes(self, store: Store):
        create(store, "of-web", node_checks=(), service_checks=(ServiceCheck(id="web-ok"),))
        deregister(store, "n1", service_id="web")
        assert queries.session(store, "of-web").rows is None
        assert queries.session(store, "s").rows is not None

    def test_when_the_node_goes_also_without_checks(self, store: Store):
        create(store, "free", node_checks=())
        deregister(store, "n1")
        assert queries.session_list(store).rows == []

    def test_not_with_a_check_of_another_node(self, store: Store):
        register(store, node("n2"), None, check("serfHealth", status="critical"))
        assert queries.session(store, "s").rows is not None

    def test_in_a_transaction(self, store: Store):
        store.execute(KVLock("k", b"1", 0, "s"))
        critical = Check(node="n1", check_id="serfHealth", status="critical")
        store.execute(Txn((TxnCheck("set", critical), TxnKV("check-session", "k", session=""))))
        assert queries.session(store, "s").rows is None
        assert entry(store, "k").session == ""


class TestLocks:
    """E6, E8."""

    def test_acquire_again_and_release(self, store: Store):
        assert store.execute(KVLock("k", b"1", 0, "s")) is True
        assert (entry(store, "k").lock_index, entry(store, "k").session) == (1, "s")
        assert store.execute(KVLock("k", b"2", 7, "s")) is True
        assert (entry(store, "k").lock_index, entry(store, "k").value, entry(store, "k").flags) == (1, b"2", 7)
        assert store.execute(KVUnlock("k", b"3", 0, "s")) is True
        assert (entry(store, "k").lock_index, entry(store, "k").session) == (1, "")
        assert store.execute(KVUnlock("k", b"3", 0, "s")) is False
        assert store.execute(KVLock("k", b"1", 0, "s")) is True
        assert entry(store, "k").lock_index == 2

    def test_the_same_again_moves_no_index(self, store: Store):
        store.execute(KVLock("k", b"1", 0, "s"))
        before = entry(store, "k").modify_index
        assert store.execute(KVLock("k", b"1", 0, "s")) is True
        assert entry(store, "k").modify_index == before

    def test_one_holder_at_a_time(self, store: Store):
        create(store, "t")
        store.execute(KVLock("k", b"1", 0, "s"))
        assert store.execute(KVLock("k", b"2", 0, "t")) is False
        assert store.execute(KVUnlock("k", b"2", 0, "t")) is False
        assert entry(store, "k").value == b"1"

    @pytest.mark.parametrize(("session", "text"), [("", "missing session"), ("x", 'invalid session "x"')])
    def test_kv5_only_sessions_that_live(self, store: Store, session: str, text: str):
        with pytest.raises(InternalError, match=f"^{text}$"):
            store.execute(KVLock("k", b"1", 0, session))
        assert queries.kv_get(store, "k").rows is None

    def test_a_plain_write_keeps_the_holder_and_a_delete_ends_the_lock(self, store: Store):
        store.execute(KVLock("k", b"1", 0, "s"))
        store.execute(KVSet("k", b"2"))
        assert (entry(store, "k").lock_index, entry(store, "k").session) == (0, "s")
        store.execute(KVDelete("k"))
        store.execute(KVSet("k", b"3"))
        store.execute(SessionDestroy("s"))
        assert entry(store, "k").value == b"3"
        assert store.sessions.freed == {}

    def test_release_keeps_the_key(self, store: Store):
        store.execute(KVLock("k", b"1", 0, "s"))
        created = entry(store, "k").create_index
        store.execute(SessionDestroy("s"))
        row = entry(store, "k")
        assert (row.session, row.lock_index, row.value) == ("", 1, b"1")
        assert (row.create_index, row.modify_index) == (created, store.index)

    def test_delete_takes_what_is_held_and_nothing_else(self, store: Store):
        create(store, "d", behavior="delete")
        for key in ("held", "released"):
            store.execute(KVLock(key, b"1", 0, "d"))
        store.execute(KVUnlock("released", b"1", 0, "d"))
        store.execute(SessionDestroy("d"))
        assert queries.kv_get(store, "held").rows is None
        assert queries.kv_list(store, "held").index == store.index
        assert entry(store, "released").value == b"1"


class TestLockDelay:
    """E7: which keys are freed, and for how long."""

    def freed(self, store: Store) -> list[dict[str, int]]:
        told: list[dict[str, int]] = []
        store.sessions.on_freed = told.append
        return told

    def test_it_is_told_after_the_batch(self, store: Store):
        told = self.freed(store)
        store.execute(KVLock("k", b"1", 0, "s"))
        store.execute(SessionDestroy("s"))
        assert told == []
        store.flush()
        store.flush()
        assert told == [{"k": 15_000_000_000}]

    @pytest.mark.parametrize(("asked", "told"), [(0, None), (-5, None), (1, 1), (10**15, MAX_LOCK_DELAY_NS)])
    def test_its_bounds(self, store: Store, asked: int, told: int | None):
        create(store, "t", lock_delay=asked, behavior="delete")
        store.execute(KVLock("k", b"1", 0, "t"))
        store.execute(SessionDestroy("t"))
        assert store.sessions.freed.get("k") == told

    def test_a_key_given_back_has_none(self, store: Store):
        store.execute(KVLock("k", b"1", 0, "s"))
        store.execute(KVUnlock("k", b"1", 0, "s"))
        store.execute(SessionDestroy("s"))
        assert store.sessions.freed == {}

    def test_a_key_locked_again_had_waited_long_enough(self, store: Store):
        """While the log is read back nobody listens; what was locked since is not held back."""
        create(store, "t")
        for key in ("again", "free"):
            store.execute(KVLock(key, b"1", 0, "s"))
        store.execute(SessionDestroy("s"))
        store.execute(KVLock("again", b"1", 0, "t"))
        assert store.sessions.freed.keys() == {"free"}

    def test_it_is_no_part_of_the_state(self, store: Store):
        twin = Store()
        twin.restore(store.snapshot())
        for each in (store, twin):
            each.execute(KVLock("k", b"1", 0, "s"))
            each.execute(SessionDestroy("s"))
        store.sessions.freed.clear()
        assert store.digest() == twin.digest()

    def test_the_listener_outlives_a_restore(self, store: Store):
        told = self.freed(store)
        store.restore(store.snapshot())
        store.execute(KVLock("k", b"1", 0, "s"))
        store.execute(SessionDestroy("s"))
        store.flush()
        assert told == [{"k": 15_000_000_000}]


def test_watchers_are_woken_by_their_own_session_only(store: Store):
    """C12: a session, the sessions of a node, all sessions."""
    store.execute(SessionCreate(Session(id="t", node="n1")))
    register(store, Node(name="n2"), None)
    woken: list[str] = []
    for name, topics in {
        "s": queries.session(store, "s").topics,
        "n1": queries.session_node(store, "N1").topics,
        "n2": queries.session_node(store, "n2").topics,
        "all": queries.session_list(store).topics,
    }.items():
        store.watches.subscribe(topics, lambda name=name: woken.append(name))
    store.execute(SessionDestroy("t"))
    store.flush()
    assert sorted(woken) == ["all", "n1"]


def test_a_snapshot_keeps_holders_links_and_ttls(store: Store):
    create(store, "t", ttl="10s")
    store.execute(KVLock("k", b"1", 0, "s"))
    twin = Store()
    twin.restore(store.snapshot())
    assert list(twin.sessions.with_ttl) == ["t"]
    deregister(twin, "n1", check_id="serfHealth")
    assert queries.session_list(twin).rows == []
    assert entry(twin, "k").session == ""
