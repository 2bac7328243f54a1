"""Bounded, whoever invents names."""

from meshagent.connect.proxy.telemetry.book import MAX_PATHS, OTHER, Book, path_cell


def test_an_edge_has_one_series() -> None:
    book = Book()
    one = book.series("inbound", "web", "api", "r")
    assert one is book.series("inbound", "web", "api", "r")
    assert one is not book.series("inbound", "web", "api")
    assert [row["route"] for row in book.shown()] == ["", "r"]


def test_too_many_edges_are_counted_together() -> None:
    book = Book(most=3)
    made = {book.series("inbound", f"s{at}", "api").edge for at in range(10)}
    assert len(made) == 4
    assert ("inbound", OTHER, OTHER, OTHER) in made
    assert book.series("inbound", "s1", "api").edge[1] == "s1", "those that are known stay"


def test_paths_by_their_first_part() -> None:
    series = Book().series("inbound", "web", "api")

    def ask(path: bytes) -> None:
        path_cell(series, b"GET", path)[0] += 1

    for path in (b"/", b"/a/b?x=/c", b"/a", b"*", b""):
        ask(path)
    assert series.paths == {("GET", "/"): [3], ("GET", "/a"): [2]}
    assert series.cells[b"GET", b"/a"] is series.cells[b"GET", b"/a/b?x=/c"]
    for at in range(1000):
        ask(b"/%d" % at)
    assert len(series.paths) == MAX_PATHS + 1
    assert len(series.cells) <= 512
    assert sum(count for (count,) in series.paths.values()) == 1005
