import msgspec

from meshagent.catalog.federation_state import FederationState


def test_it_has_consuls_names() -> None:
    row = FederationState(datacenter="dc1", updated_at="2024-01-01T00:00:00Z", create_index=1, modify_index=2)
    assert msgspec.json.decode(msgspec.json.encode(row)) == {
        "Datacenter": "dc1", "UpdatedAt": "2024-01-01T00:00:00Z", "PrimaryModifyIndex": 0, "CreateIndex": 1,
        "ModifyIndex": 2,
    }  # fmt: skip
