"""Arguments of `builtin/aws/lambda`."""

from meshagent.catalog.entries.extensions.aws_lambda import Lambda

ARN = "arn:aws:lambda:us-west-2:111111111111:function:lambda-1234"


def test_the_region_is_in_the_arn() -> None:
    assert Lambda(arn=ARN, invocation_mode="ASYNCHRONOUS").problems() == []
    assert Lambda(arn=ARN).region == "us-west-2"


def test_what_is_wrong() -> None:
    assert Lambda().problems() == ["ARN is required"]
    assert Lambda(arn="arn:aws:s3:::bucket", invocation_mode="later").problems() == [
        'ARN: "arn:aws:s3:::bucket" is no function of AWS Lambda',
        'unexpected InvocationMode "later"',
    ]
