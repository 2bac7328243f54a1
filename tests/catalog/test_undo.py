"""Taking back what a transaction did (surface row TX1)."""

from meshagent.catalog.undo import Undo


def test_steps_are_taken_from_the_last_to_the_first():
    undo, done = Undo(), []
    undo.begin()
    undo.note(done.append, "first")
    undo.note(done.append, "second")
    undo.rollback()
    assert done == ["second", "first"]


def test_outside_a_transaction_nothing_is_kept():
    undo, done = Undo(), []
    undo.note(done.append, "before")
    undo.begin()
    undo.note(done.append, "committed")
    undo.commit()
    undo.note(done.append, "after")
    undo.begin()
    undo.rollback()
    assert done == []


def test_steps_that_note_steps_are_not_taken_back_again():
    undo, value = Undo(), [1]

    def put(new: int) -> None:
        undo.note(put, value[0])
        value[0] = new

    undo.begin()
    put(2)
    put(3)
    undo.rollback()
    assert value == [1]
    undo.begin()
    undo.rollback()
    assert value == [1]
