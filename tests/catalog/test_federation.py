from meshagent.catalog.commands import FederationStateSet
from meshagent.catalog.store import Store


def test_a_row_keeps_the_index_of_its_creation_and_is_in_snapshots() -> None:
    store, other = Store(), Store()
    woken: list[int] = []
    store.execute(FederationStateSet("dc1", "2024-01-01T00:00:00Z"))
    store.watches.subscribe(["federation-states"], lambda: woken.append(1))
    store.execute(FederationStateSet("dc1", "2024-01-02T00:00:00Z"))
    store.flush()
    row = store.federation.rows["dc1"]
    assert (row.updated_at, row.create_index, row.modify_index, row.primary_modify_index) == (
        "2024-01-02T00:00:00Z", 2, 3, 3,
    )  # fmt: skip
    assert store.federation.index == 3
    assert woken == [1]
    other.restore(list(store.snapshot()))
    assert other.federation.rows == store.federation.rows
