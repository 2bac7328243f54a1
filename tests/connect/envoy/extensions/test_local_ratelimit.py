"""`builtin/http/localratelimit`."""

from meshtest.extending import extended, http_filters_of, the_manager


def test_it_stands_before_all_others() -> None:
    arguments = {"MaxTokens": 3, "TokensPerFill": 2, "FillInterval": 10, "FilterEnforced": 50}
    found = extended("builtin/http/localratelimit", arguments)
    assert http_filters_of(found, "public_listener")[0] == "local_ratelimit"
    limits = the_manager(found, "public_listener")["http_filters"][0]["typed_config"]
    assert limits["token_bucket"] == {"max_tokens": 3, "tokens_per_fill": 2, "fill_interval": "10s"}
    assert limits["filter_enabled"]["default_value"]["numerator"] == 100
    assert limits["filter_enforced"]["default_value"]["numerator"] == 50
