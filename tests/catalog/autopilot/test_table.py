from meshagent.catalog.autopilot.configuration import AutopilotConfig
from meshagent.catalog.commands import AutopilotSet
from meshagent.catalog.store import Store


def test_there_is_none_until_it_is_written() -> None:
    assert Store().autopilot.config is None


def test_it_keeps_the_index_of_its_creation() -> None:
    store = Store()
    assert store.execute(AutopilotSet(AutopilotConfig()))
    assert store.execute(AutopilotSet(AutopilotConfig(min_quorum=3)))
    config = store.autopilot.config
    assert config is not None
    assert (config.min_quorum, config.create_index, config.modify_index) == (3, 2, 3)


def test_compare_and_set() -> None:
    store = Store()
    assert not store.execute(AutopilotSet(AutopilotConfig(), cas=7))
    assert store.execute(AutopilotSet(AutopilotConfig(), cas=0))
    assert not store.execute(AutopilotSet(AutopilotConfig(min_quorum=3), cas=0))
    assert store.execute(AutopilotSet(AutopilotConfig(min_quorum=3), cas=3))


def test_a_change_wakes_who_reads_it() -> None:
    store = Store()
    woken: list[int] = []
    store.watches.subscribe(["autopilot"], lambda: woken.append(1))
    store.execute(AutopilotSet(AutopilotConfig()))
    store.flush()
    assert woken == [1]


def test_it_is_in_snapshots() -> None:
    store, other = Store(), Store()
    store.execute(AutopilotSet(AutopilotConfig(max_trailing_logs=9)))
    other.restore(list(store.snapshot()))
    assert other.autopilot.config == store.autopilot.config
    assert other.digest() == store.digest()
