import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.checks.http_request import compile_request, operation, redirected
from meshagent.agent.checks.probe import ProbeFailed


def lines(request):
    head, _, body = request.wire.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


def test_the_default_request():
    """K11: what Consul's checks send."""
    request = compile_request("", "http://127.0.0.1:8080/health?a=b", {}, "")
    assert lines(request) == (
        [
            "GET /health?a=b HTTP/1.1",
            "Host: 127.0.0.1:8080",
            "User-Agent: Consul Health Check",
            "Accept: text/plain, text/*, */*",
            "Connection: close",
        ],
        b"",
    )
    assert (request.target.host, request.target.port, request.target.numeric) == ("127.0.0.1", 8080, True)
    assert not request.tls


def test_headers_and_body_are_those_configured():
    header = {"Host": ["web.example"], "user-agent": ["mine"], "X-A": ["1", "2"], "Content-Length": ["9"]}
    got, body = lines(compile_request("POST", "http://h/", header, "héllo"))
    assert got == [
        "POST / HTTP/1.1",
        "Host: web.example",
        "Accept: text/plain, text/*, */*",
        "user-agent: mine",
        "X-A: 1",
        "X-A: 2",
        "Content-Length: 6",
        "Connection: close",
    ]
    assert body == "héllo".encode()


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "first", "host_header"),
    [
        ("http://localhost", "localhost", 80, False, "GET / HTTP/1.1", "localhost"),
        ("https://localhost", "localhost", 443, True, "GET / HTTP/1.1", "localhost"),
        ("HTTP://LOCALHOST:81/A", "localhost", 81, False, "GET /A HTTP/1.1", "localhost:81"),
        ("http://[::1]:8080/x", "::1", 8080, False, "GET /x HTTP/1.1", "[::1]:8080"),
        ("http://h?q=a b", "h", 80, False, "GET /?q=a%20b HTTP/1.1", "h"),
        ("http://h/a b/é%20#frag", "h", 80, False, "GET /a%20b/%C3%A9%20 HTTP/1.1", "h"),
        ("http://bücher.example/", "xn--bcher-kva.example", 80, False, "GET / HTTP/1.1", "xn--bcher-kva.example"),
    ],
)
def test_urls(url, host, port, tls, first, host_header):
    request = compile_request("", url, {}, "")
    assert (request.target.host, request.target.port, request.tls) == (host, port, tls)
    assert lines(request)[0][:2] == [first, f"Host: {host_header}"]


def test_credentials_in_the_url_are_sent_and_not_shown():
    request = compile_request("", "http://joe:s3cret@h/", {}, "")
    assert "Authorization: Basic am9lOnMzY3JldA==" in lines(request)[0]
    assert operation("GET", request.url) == 'Get "http://joe:xxxxx@h/"'


@pytest.mark.parametrize(
    ("method", "url", "header", "message"),
    [
        ("", "ftp://h/", {}, 'Get "ftp://h/": unsupported protocol scheme "ftp"'),
        ("", "h/x", {}, 'Get "h/x": unsupported protocol scheme ""'),
        ("put", "http:///x", {}, 'Put "http:///x": http: no Host in request URL'),
        ("", "http://h:99999/", {}, 'parse "http://h:99999/": invalid port after host'),
        ("", "http://h:x/", {}, 'parse "http://h:x/": invalid port after host'),
        ("", "http://a b/", {}, 'parse "http://a b/": invalid character " " in host name'),
        ("", "http://[::1/", {}, 'parse "http://[::1/": Invalid IPv6 URL'),
        ("A B", "http://h/", {}, 'net/http: invalid method "A B"'),
        ("", "http://h/", {"X-A": ["1\r\nX-B: 2"]}, 'Get "http://h/": net/http: invalid header field value for "X-A"'),
        ("", "http://h/", {"X A": ["1"]}, 'Get "http://h/": net/http: invalid header field name "X A"'),
        ("", "http://h/", {"Host": ["a\r\nb"]}, 'Get "http://h/": net/http: invalid header field value for "Host"'),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(method, url, header, message):
    with pytest.raises(ProbeFailed) as failed:
        compile_request(method, url, header, "")
    assert str(failed.value) == message


@pytest.mark.parametrize(
    ("code", "method", "then", "body"),
    [
        (301, "POST", "GET", b""),
        (302, "PUT", "GET", b""),
        (303, "POST", "GET", b""),
        (302, "HEAD", "HEAD", b""),
        (307, "POST", "POST", b"b"),
        (308, "PUT", "PUT", b"b"),
    ],
)
def test_redirects_change_the_method_as_gos_client_does(code, method, then, body):
    following = redirected(compile_request(method, "http://h/a/b?c", {}, "b"), code, "../d?e")
    assert (following.method, following.url, following.body) == (then, "http://h/d?e", body)


def test_credentials_stay_with_their_host():
    first = compile_request("", "http://web.example/", {"Authorization": ["x"], "Cookie": ["y"], "Host": ["v"]}, "")
    assert "Authorization: x" in lines(redirected(first, 302, "/here"))[0]
    assert "Host: v" in lines(redirected(first, 302, "/here"))[0]
    assert "Cookie: y" in lines(redirected(first, 302, "http://a.web.example/"))[0]
    elsewhere = lines(redirected(first, 302, "https://evilweb.example/"))[0]
    assert not [line for line in elsewhere if line.startswith(("Authorization", "Cookie"))]
    assert "Host: evilweb.example" in elsewhere


@given(st.text(), st.text(), st.dictionaries(st.text(), st.lists(st.text())), st.text())
def test_any_definition_compiles_to_one_request_or_is_refused(method, rest, header, body):
    try:
        request = compile_request(method, f"http://h/{rest}", header, body)
    except ProbeFailed:
        return
    head, _ = lines(request)
    assert head[0].startswith(f"{method or 'GET'} /")
    assert head[0].endswith(" HTTP/1.1")
    assert head[0].count(" ") == 2
    assert sum(line.lower().startswith("host:") for line in head) == 1
    assert request.wire.endswith(request.body)


@given(st.text())
def test_any_location_is_followed_or_refused(location):
    first = compile_request("", "http://h/", {}, "")
    try:
        following = redirected(first, 302, location)
    except ProbeFailed:
        return
    assert lines(following)[0][0].count(" ") == 2
