"""`operator autopilot` (CL12)."""

from __future__ import annotations

import json
from typing import Any

CONFIG = {
    "CleanupDeadServers": True, "LastContactThreshold": "200ms", "MaxTrailingLogs": 250, "MinQuorum": 0,
    "ServerStabilizationTime": "10s", "RedundancyZoneTag": "", "DisableUpgradeMigration": False,
    "UpgradeVersionTag": "", "CreateIndex": 4, "ModifyIndex": 9,
}  # fmt: skip
SERVER = {
    "ID": "id1", "Name": "n1", "Address": "127.0.0.1:8300", "NodeStatus": "alive", "Version": "1.20.1",
    "LastContact": "0s", "LastTerm": 2, "LastIndex": 91, "Healthy": True, "StableSince": "2024-01-01T00:00:00Z",
    "ReadReplica": False, "Status": "leader", "Meta": {"consul-version": "1.20.1"}, "NodeType": "voter",
}  # fmt: skip
STATE = {
    "Healthy": True, "FailureTolerance": 0, "OptimisticFailureTolerance": 0, "Servers": {"id1": SERVER},
    "Leader": "id1", "Voters": ["id1"],
}  # fmt: skip
PATH = "operator/autopilot/configuration"


def test_the_configuration(cli: Any, stub: Any) -> None:
    stub.answer(PATH, CONFIG)
    assert cli("operator autopilot get-config").out == (
        "CleanupDeadServers = true\nLastContactThreshold = 200ms\nMaxTrailingLogs = 250\nMinQuorum = 0\n"
        'ServerStabilizationTime = 10s\nRedundancyZoneTag = ""\nDisableUpgradeMigration = false\n'
        'UpgradeMigrationTag = ""\n'
    )


def test_only_what_is_given_changes(cli: Any, stub: Any) -> None:
    stub.answer(PATH, CONFIG)
    stub.answer(PATH, True, method="PUT")
    ran = cli("operator autopilot set-config -cleanup-dead-servers=false -min-quorum=3 -last-contact-threshold 1s")
    assert (ran.status, ran.out) == (0, "Configuration updated!\n")
    assert stub.last.query == {"cas": "9"}
    assert stub.last.json == {
        **CONFIG, "CleanupDeadServers": False, "MinQuorum": 3, "LastContactThreshold": "1s"
    }  # fmt: skip


def test_a_change_of_somebody_else_is_not_undone(cli: Any, stub: Any) -> None:
    stub.answer(PATH, CONFIG)
    stub.answer(PATH, False, method="PUT")
    ran = cli("operator autopilot set-config -min-quorum=3")
    assert (ran.status, ran.err) == (1, "Configuration could not be atomically updated, please try again\n")


def test_bad_values_name_their_flag(cli: Any, stub: Any) -> None:
    stub.answer(PATH, CONFIG)
    assert "for flag -cleanup-dead-servers" in cli("operator autopilot set-config -cleanup-dead-servers=maybe").err
    assert "for flag -min-quorum" in cli("operator autopilot set-config -min-quorum=-1").err
    assert {asked.method for asked in stub.asked} == {"GET"}


def test_the_state(cli: Any, stub: Any) -> None:
    stub.answer("operator/autopilot/state", STATE)
    assert cli("operator autopilot state").out == (
        "Healthy:                      true\n"
        "Failure Tolerance:            0\n"
        "Optimistic Failure Tolerance: 0\n"
        "Leader:                       id1\n"
        "Voters:\n"
        "   id1\n"
        "Servers:\n"
        "   id1\n"
        "      Name:            n1\n"
        "      Address:         127.0.0.1:8300\n"
        "      Version:         1.20.1\n"
        "      Status:          leader\n"
        "      Node Type:       voter\n"
        "      Node Status:     alive\n"
        "      Healthy:         true\n"
        "      Last Contact:    0s\n"
        "      Last Term:       2\n"
        "      Last Index:      91\n"
        "      Meta\n"
        '         "consul-version": "1.20.1"\n'
    )
    assert json.loads(cli("operator autopilot state -format=json").out) == STATE


def test_health_is_a_table_and_an_exit_status(cli: Any, stub: Any) -> None:
    server = {**SERVER, "SerfStatus": "alive", "Leader": True, "Voter": True}
    stub.answer("operator/autopilot/health", {"Healthy": True, "FailureTolerance": 1, "Servers": [server]})
    ran = cli("operator autopilot health")
    assert ran.status == 0
    assert ran.out.splitlines()[1].split() == [
        "n1", "127.0.0.1:8300", "leader", "1.20.1", "true", "true", "0s", "2", "91", "2024-01-01T00:00:00Z",
    ]  # fmt: skip
    assert ran.out.splitlines()[-1] == "Failure tolerance: 1"
    stub.answer("operator/autopilot/health", {"Healthy": False, "FailureTolerance": 0, "Servers": []}, status=429)
    assert cli("operator autopilot health -format=json").status == 1
