"""Arguments of `builtin/http/localratelimit`."""

from meshagent.catalog.entries.extensions.local_ratelimit import LocalRateLimit


def test_what_is_wrong() -> None:
    assert LocalRateLimit(fill_interval=1, max_tokens=2, tokens_per_fill=1, filter_enabled=100).problems() == []
    assert LocalRateLimit(tokens_per_fill=0, filter_enforced=101).problems() == [
        "FillInterval(in second) must be greater than 0",
        "MaxTokens must be greater than 0",
        "TokensPerFill must be greater than 0",
        "cannot set FilterEnforced to 101, it must be between 0 and 100",
    ]
