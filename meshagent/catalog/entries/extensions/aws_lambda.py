"""`builtin/aws/lambda`: a service that is a function of AWS Lambda.

Source: surface row M85; developer.hashicorp.com/consul/docs/connect/proxies/envoy-extensions/usage/lambda;
docs.aws.amazon.com "ARNs". What may change here: nothing that entries have.
"""

from __future__ import annotations

import re

from meshagent.catalog.entries.extensions.arguments import Arguments, one_of

__all__ = ["Lambda"]

#: arn:aws:lambda:us-west-2:111111111111:function:name
_ARN = re.compile(r"arn:(?P<partition>[\w-]+):lambda:(?P<region>[a-z0-9-]+):\d*:function:.+")


class Lambda(Arguments, frozen=True, kw_only=True):
    """`invocation_mode` is synchronous or asynchronous."""

    arn: str = ""
    payload_passthrough: bool = False
    invocation_mode: str = "synchronous"

    @property
    def region(self) -> str:
        """The region in which the function is; "" when the ARN has none."""
        found = _ARN.fullmatch(self.arn)
        return found["region"] if found is not None else ""

    def problems(self, *, debug: bool = False) -> list[str]:
        if not self.arn:
            found = ["ARN is required"]
        else:
            found = [] if self.region else [f'ARN: "{self.arn}" is no function of AWS Lambda']
        found += self.proxy_type_problems("terminating-gateway")
        return found + one_of("InvocationMode", self.invocation_mode.lower(), ("synchronous", "asynchronous"))
