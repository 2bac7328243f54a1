from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.config import Config
from meshagent.agent.config.merge import Draft, table_of
from meshagent.hcl import parse_json
from meshagent.located import Place


def test_later_sources_replace_append_and_add(configure: Any) -> None:
    """G1."""
    config = configure(
        'datacenter = "a" retry_join = ["1"] node_meta { x = "1" y = "1" } ports { http = 1 dns = 2 } '
        'service { name = "one" }',
        'datacenter = "b" retry_join = ["2"] node_meta { y = "2" } ports { http = 3 } service { name = "two" } '
        'services = [{ name = "three" }]',
    )
    assert config.datacenter == "b"
    assert config.retry_join == ("1", "2")
    assert config.node_meta == {"x": "1", "y": "2"}
    assert (config.ports.http, config.ports.dns) == (3, 2)
    assert [service.name for service in config.services] == ["one", "two", "three"]


def test_unknown_keys_name_file_line_and_the_nearest_key(configure: Any) -> None:
    """G2."""
    assert configure.problems('datacentre = "x"\nports {\n  htp = 1\n}\nhttp = 1\nzzzzzz = 2') == [
        "b.hcl:1:1: invalid config key datacentre (did you mean 'datacenter'?)",
        "b.hcl:3:3: invalid config key ports.htp (did you mean 'ports.http'?)",
        "b.hcl:5:1: invalid config key http (did you mean 'addresses.http' or 'ports.http'?)",
        "b.hcl:6:1: invalid config key zzzzzz",
    ]


def test_unknown_keys_of_registrations_are_named_too(configure: Any) -> None:
    assert configure.problems('service {\n name = "a"\n prot = 1\n}\ncheck {\n name = "c"\n ttl = 5\n}') == [
        "b.hcl:3:2: services[0]: invalid config key prot (did you mean 'port'?)",
        "b.hcl:7:2: checks[0].ttl: must be a duration such as \"10s\", not a number ('5')",
        "b.hcl:5:1: check 'c': Invalid check: TTL must be > 0 for TTL checks",
    ]


def test_former_keys_work_with_a_warning(configure: Any) -> None:
    loaded = configure.loaded(
        'data_dir = "/d" bind_addr = "127.0.0.1" acl_datacenter = "old" ui = true acl { tokens { master = "m" } } '
        'start_join = ["a"] verify_incoming_https = false ca_file = "x"'
    )
    config = loaded.config
    assert config.primary_datacenter == "old"
    assert config.ui_config.enabled
    assert config.acl.tokens.initial_management == "m"
    assert config.retry_join == ("a",)
    assert config.tls.https.ca_file == "x"
    assert (
        "a.hcl:1:41: the 'acl_datacenter' field is deprecated. Use the 'primary_datacenter' field instead."
        in loaded.warnings
    )
    assert sum("is deprecated" in warning for warning in loaded.warnings) == 6


def test_where_old_and_new_key_are_given_the_new_one_counts(configure: Any) -> None:
    assert configure('primary_datacenter = "new" acl_datacenter = "old"').primary_datacenter == "new"


def test_enterprise_keys_are_refused_by_name(configure: Any) -> None:
    """G28."""
    (first, second) = configure.problems('partition = "x"\nautopilot { redundancy_zone_tag = "z" }')
    assert first.startswith("b.hcl:1:1: partition belongs to Consul Enterprise (admin partitions)")
    assert second.startswith("b.hcl:2:13: autopilot.redundancy_zone_tag belongs to Consul Enterprise")


def test_keys_match_without_regard_to_case_and_null_is_not_given(configure: Any) -> None:
    draft = Draft()
    draft.add(parse_json('{"DataCenter": "x", "Ports": {"HTTP": 5, "dns": null}, "server": null}', "a.json").root)
    assert draft.problems == []
    assert draft.values == {"datacenter": "x", "ports.http": 5}


def test_repeated_blocks_of_a_group_merge(configure: Any) -> None:
    config = configure("ports { http = 1 }\nports { dns = 2 }")
    assert (config.ports.http, config.ports.dns) == (1, 2)
    assert configure.problems("ports = 5") == ["b.hcl:1:1: ports: must be an object"]


def test_all_problems_come_at_once(configure: Any) -> None:
    problems = configure.problems(
        "ports { http = 700000 }\nserver = 1", 'log_level = "loud"\nnode_meta { "a b" = "c" }'
    )
    assert [problem.partition(": ")[0] for problem in problems] == ["b.hcl:1:9", "b.hcl:2:1", "c.hcl:1:1", "c.hcl:2:1"]


keys = st.sampled_from([*Config.options, "service", "acl_token", "partition", "nonsense", "Ports"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["http", "enabled", "name", "x"]), inner)
    ),
    max_leaves=6,
)


@given(st.dictionaries(keys, values, max_size=5))
def test_any_source_merges_or_says_where_not(source: dict[str, Any]) -> None:
    draft = Draft()
    draft.add(table_of(source.items(), Place("any.json", 1, 1)))
    assert isinstance(draft.build(), Config)
    assert all(problem.startswith("any.json:1:1: ") for problem in draft.problems)
