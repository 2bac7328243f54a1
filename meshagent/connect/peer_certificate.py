"""What a proxy has to know of a peer's certificate, which TLS has verified: its URIs and its end. Pure.

A proxy reads few certificates and signs none. `cryptography.x509` would do it, for 1.7 MB in every sidecar; so the two
fields are read here, by the strict rules of DER: nothing is skipped that is not understood to its end, and a test holds
that the library reads the same.

Source: RFC 5280 sections 4.1 and 4.2.1.6; ITU-T X.690 sections 8.1.3 and 10.1 (lengths); SPIFFE X.509-SVID section 2
(one URI). What may change here: further fields.
"""

from __future__ import annotations

from datetime import UTC, datetime

from meshagent.errors import RemoteProtocolError

__all__ = ["peer_facts"]

_SEQUENCE, _OID, _BOOLEAN, _OCTETS = 0x30, 0x06, 0x01, 0x04
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
#: [0] version and [3] extensions of a certificate; [6] URI of a general name.
_VERSION, _EXTENSIONS, _URI = 0xA0, 0xA3, 0x86
#: 2.5.29.17
_ALTERNATIVE_NAMES = b"\x55\x1d\x11"
#: Of the certificate, before its extensions: serial number, algorithm, issuer, validity, subject, key.
_FIELDS_BEFORE, _VALIDITY = 6, 3


def peer_facts(der: bytes) -> tuple[tuple[str, ...], datetime]:
    """(the URIs, the end) of a certificate, DER.

    Raises:
        RemoteProtocolError: no certificate, or one that cannot be understood.
    """
    try:
        return _facts(der)
    except (ValueError, IndexError) as error:
        raise RemoteProtocolError("the certificate cannot be understood") from error


def _facts(der: bytes) -> tuple[tuple[str, ...], datetime]:
    signed, _, _ = _values(_only(der, _SEQUENCE), _SEQUENCE, _SEQUENCE, 0x03)
    fields = _elements(signed)
    if fields[0][0] == _VERSION:
        fields = fields[1:]
    ends = _time(*_elements(fields[_VALIDITY][1])[1]) if fields[_VALIDITY][0] == _SEQUENCE else None
    if ends is None:
        raise ValueError("no validity")
    names: bytes | None = None
    for tag, value in fields[_FIELDS_BEFORE:]:
        if tag != _EXTENSIONS:
            continue
        for kind, extension in _elements(_only(value, _SEQUENCE)):
            oid, *critical, (held, content) = _elements(extension)
            if (
                kind != _SEQUENCE
                or oid[0] != _OID
                or held != _OCTETS
                or [one for one, _ in critical]
                not in (
                    [],
                    [_BOOLEAN],
                )
            ):
                raise ValueError("no extension")
            if oid[1] == _ALTERNATIVE_NAMES:
                if names is not None:
                    raise ValueError("alternative names twice")
                names = content
    if names is None:
        return (), ends
    return tuple(value.decode("ascii") for tag, value in _elements(_only(names, _SEQUENCE)) if tag == _URI), ends


def _time(tag: int, value: bytes) -> datetime:
    """RFC 5280 section 4.1.2.5: seconds are there, the zone is Z."""
    text = value.decode("ascii")
    year = 4 if tag == _GENERALIZED_TIME else 2
    digits = text[:-1]
    if tag not in (_UTC_TIME, _GENERALIZED_TIME) or text[-1] != "Z" or len(digits) != year + 10 or not digits.isdigit():
        raise ValueError("no time")
    if tag == _UTC_TIME:
        digits = ("19" if digits[0] >= "5" else "20") + digits
    parts = [int(digits[at : at + 2]) for at in range(4, 14, 2)]
    return datetime(int(digits[:4]), parts[0], parts[1], parts[2], parts[3], parts[4], tzinfo=UTC)


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """(tag, value) of all that is in `data`, to its last byte. Raises ValueError, IndexError."""
    found = []
    at = 0
    while at < len(data):
        tag, size = data[at], data[at + 1]
        at += 2
        if tag & 0x1F == 0x1F or size == 0x80 or size > 0x84:
            raise ValueError("a long tag, or an indefinite or huge length")
        if size > 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[at : at + count])
            if size < 0x80 or size >> (8 * (count - 1)) == 0:
                raise ValueError("a length in more bytes than it needs")
            at += count
        if at + size > len(data):
            raise ValueError("it ends early")
        found.append((tag, data[at : at + size]))
        at += size
    return found


def _values(data: bytes, *tags: int) -> list[bytes]:
    """The values of elements that have just these tags."""
    found = _elements(data)
    if [tag for tag, _ in found] != list(tags):
        raise ValueError("other fields than were expected")
    return [value for _, value in found]


def _only(data: bytes, tag: int) -> bytes:
    return _values(data, tag)[0]
