"""To make room, the slowest reader is closed first, then the connection that was idle longest."""

from app.core.http.connection_table import READER_GRACE_SECONDS, ConnectionTable

LATER = 2 * READER_GRACE_SECONDS


class Connection:
    """A connection that records the reason for which it was closed."""

    def __init__(self, table: ConnectionTable) -> None:
        self.table = table
        self.reason = ""

    def abort(self, reason: str) -> None:
        self.reason = reason
        self.table.remove(self)


def _table(most: int = 1_000) -> tuple[ConnectionTable, list[Connection]]:
    table = ConnectionTable(most)
    return table, [Connection(table) for _ in range(4)]


def test_the_slowest_reader_is_closed_first_then_the_longest_idle_connection() -> None:
    table, (silent, newer, slow, slower) = _table()
    table.mark_idle(silent, 0)
    table.mark_idle(newer, 0.1)
    table.mark_slow_reader(slower, 0.2)
    table.mark_slow_reader(slow, 0.3)
    for expected in (slower, slow, silent, newer):
        assert table.make_room(LATER)
        assert expected.reason == "room"
    assert not table.make_room(LATER)


def test_connections_with_recent_progress_or_a_request_in_work_are_not_closed() -> None:
    table, (served, taking, fresh, gone) = _table()
    for each in (served, fresh, gone):
        table.mark_idle(each, 0)
    table.mark_busy(served)
    table.mark_slow_reader(taking, 0)
    table.unmark_slow_reader(taking)
    table.remove(gone)
    table.mark_idle(fresh, LATER)
    assert not table.make_room(LATER)
    assert table.make_room(2 * LATER)
    assert [each.reason for each in (served, taking, fresh, gone)] == ["", "", "room", ""]


def test_when_responses_are_too_many_bytes_the_slowest_readers_are_closed_and_a_shared_body_counts_once() -> None:
    table, (first, second, third, newest) = _table()
    shared = bytes(600)
    with table.sending(first, shared), table.sending(second, shared), table.sending(third, bytes(300)):
        for at, each in enumerate((first, second, third)):
            table.mark_slow_reader(each, at)
        assert [each.reason for each in (first, second, third)] == ["", "", ""]
        with table.sending(newest, bytes(200)):
            assert [each.reason for each in (first, second, third)] == ["", "", "memory"]
    with table.sending(newest, bytes(900)):
        assert (first.reason, newest.reason) == ("", "")
