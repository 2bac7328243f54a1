"""Surface rows A10, A14: what is kept of a registration. The rules are tested with `local.py`."""

from meshagent.agent.registration import LocalCheck, LocalService, Observer, keep_reserved
from meshagent.catalog.model import Check, Service, ServiceAddress


def test_an_observer_may_leave_out_what_does_not_concern_it():
    observer = Observer()
    service, check = LocalService(Service(id="a", name="a")), LocalCheck(Check(check_id="c"))
    observer.service_added(service)
    observer.service_removed(service)
    observer.check_added(check)
    observer.check_updated(check)
    observer.check_removed(check)
    assert not service.in_sync
    assert not check.in_sync


def test_entries_are_told_apart_by_identity():
    """`settle` and reloads ask whether an entry is still the one they saw, not whether it looks the same."""
    assert LocalService(Service(id="a", name="a")) != LocalService(Service(id="a", name="a"))


def test_only_addresses_of_the_servers_are_kept():
    virtual, own = ServiceAddress(address="240.0.0.1"), ServiceAddress(address="10.0.0.1")
    holder = Service(id="a", name="a", tagged_addresses={"consul-virtual": virtual, "lan": own})
    fresh = Service(id="a", name="a", port=2)
    kept = keep_reserved(fresh, holder)
    assert (kept.port, kept.tagged_addresses) == (2, {"consul-virtual": virtual})
    assert keep_reserved(kept, holder) is kept
    assert keep_reserved(fresh, fresh) is fresh
