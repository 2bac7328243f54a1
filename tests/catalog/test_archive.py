"""Archives: what goes in comes out, and nothing else does."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.archive import MAX_PIECE_BYTES, ArchiveMeta, ArchiveReader, ArchiveWriter
from meshagent.errors import CorruptData

META = ArchiveMeta(index=7, term=2, time=datetime(2024, 1, 1, tzinfo=UTC), cluster_id="c", datacenter="dc1", node="n1")
CHUNKS = [b"one", b"", b"three" * 1000]


def pack(chunks: list[bytes]) -> bytes:
    writer = ArchiveWriter(META)
    return writer.begin() + b"".join(writer.add(chunk) for chunk in chunks) + writer.end()


def unpack(data: bytes, step: int = 1 << 20) -> tuple[ArchiveMeta, list[bytes]]:
    reader = ArchiveReader()
    chunks = [
        chunk for start in range(0, len(data), step) for chunk in reader.feed(data[start : start + step])
    ]  # fmt: skip
    reader.finish()
    assert reader.meta is not None
    assert reader.size_bytes == len(data)
    return reader.meta, chunks


@given(st.lists(st.binary(max_size=200), max_size=8), st.integers(1, 300))
def test_what_goes_in_comes_out_however_it_is_cut(chunks: list[bytes], step: int) -> None:
    assert unpack(pack(chunks), step) == (META, chunks)


def test_gunzip_is_content_with_it() -> None:
    assert gzip.decompress(pack(CHUNKS)).startswith(b"MESHARCH")


def test_its_id_has_consuls_form() -> None:
    assert META.id == "2-7-1704067200000"


def problem(data: bytes) -> str:
    with pytest.raises(CorruptData) as caught:
        unpack(data)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "failed to decompress snapshot: EOF"),
        (b"not an archive", "failed to decompress snapshot: gzip: invalid header"),
        (b"\x1f\x8bgarbage that follows", "failed to decompress snapshot: gzip: invalid header"),
        (pack(CHUNKS)[:-1], "failed to decompress snapshot: unexpected EOF"),
        (pack(CHUNKS)[:20], "failed to decompress snapshot: unexpected EOF"),
        (pack(CHUNKS) + b"x", "failed to decompress snapshot: data after its end"),
        (gzip.compress(b""), "failed to read snapshot file: it is not one of meshagent"),
        (gzip.compress(b"MESH"), "failed to read snapshot file: it is not one of meshagent"),
        (gzip.compress(b"something else entirely"), "failed to read snapshot file: it is not one of meshagent"),
        (gzip.compress(gzip.decompress(pack(CHUNKS))[:-1]), "failed to read snapshot file: it ends too early"),
        (gzip.compress(gzip.decompress(pack(CHUNKS)) + b"x"), "failed to read snapshot file: data after its end"),
        (
            gzip.compress(b"MESHARCH" + struct.pack("<HH", 9, 0)),
            "failed to read snapshot file: format version 9, this release reads 1: use a newer one",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # the bytes of gzip hold the time
)
def test_what_is_refused(data: bytes, words: str) -> None:
    assert problem(data) == words


def test_consuls_own_archive_is_called_by_its_name() -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name in ("meta.json", "state.bin", "SHA256SUMS"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            tar.addfile(entry, io.BytesIO(b"1234"))
    assert "this is a snapshot of Consul" in problem(file.getvalue())


def test_a_flipped_bit_is_found_wherever_it_is() -> None:
    """Inside the frame, so that gzip's own checksum does not find it first."""
    inner = gzip.decompress(pack([b"some rows", b"more rows"]))
    for at in range(len(inner)):
        damaged = bytearray(inner)
        damaged[at] ^= 0x10
        with pytest.raises(CorruptData):
            unpack(gzip.compress(bytes(damaged), 1))


def test_pieces_cannot_change_places() -> None:
    inner = gzip.decompress(pack([b"aaaa", b"bbbb"]))
    at = inner.index(b"aaaa") - 8
    swapped = inner[:at] + inner[at + 12 : at + 24] + inner[at : at + 12] + inner[at + 24 :]
    assert "bad checksum" in problem(gzip.compress(swapped))


def test_a_piece_that_claims_too_much_is_refused_before_it_is_awaited() -> None:
    inner = b"MESHARCH" + struct.pack("<HH", 1, 0) + struct.pack("<II", MAX_PIECE_BYTES + 1, 0)
    assert f"piece 0 claims {MAX_PIECE_BYTES + 1} bytes" in problem(gzip.compress(inner))


def test_a_small_archive_cannot_fill_the_memory() -> None:
    """64 MiB of zeros in 64 KiB: they are decompressed as they are asked for, and refused at the first piece."""
    reader = ArchiveReader()
    bomb = zlib.compress(bytes(64 << 20), 9, 31)
    with pytest.raises(CorruptData):
        list(reader.feed(bomb))
    assert len(reader._buffer) <= 2 << 20


@given(st.binary(max_size=200))
def test_any_bytes_are_an_archive_or_are_refused(data: bytes) -> None:
    for given_ in (data, gzip.compress(data), gzip.compress(b"MESHARCH\x01\0\0\0" + data)):
        try:
            unpack(given_)
        except CorruptData:
            continue
        raise AssertionError("no random bytes have the checksum")
