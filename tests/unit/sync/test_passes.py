"""Several listings side by side: whole when each is, cut and resumed one by one, a record of two of them taken once."""

from collections.abc import Sequence

import pytest
from msgspec import Raw

from tests.unit.bitrix24.fakes import Table, answer, flaky
from worker.bitrix24.calls import Answers, Call, Outcome, Time
from worker.bitrix24.rows import ListMethod
from worker.bitrix24.ways import ListWay, Paging
from worker.errors import AccessDenied, IncompleteRun
from worker.sync.passes import Passes, Stretch

TASKS = ListMethod("tasks.task.list", {"select": ["ID"]}, items=("tasks",))


def passes(number: int = 2, after: Sequence[int] = ()) -> Passes:
    return Passes(TASKS, ListWay(Paging.CHAINED, uncounted=True), prefix="t", filters=[{}] * number, after=after)


class Portal:
    """A table for each pass; calls are told apart by their keys."""

    def __init__(self, *ids: Sequence[int]) -> None:
        self.tables = [Table(some) for some in ids]

    def batch(self, calls: Sequence[Call]) -> Answers:
        outcomes: dict[str, Outcome] = {}
        for number, table in enumerate(self.tables):
            mine = [
                call for call in calls if call.key.startswith(f"t_{number}_") or (not number and "_" not in call.key)
            ]
            outcomes |= table.batch(mine).outcomes
        return Answers(outcomes, Time())


def read(one: Passes, portal: Portal, *, room: int = 50, batches: int = 99) -> tuple[list[Stretch], int]:
    """Everything, or what so many batches bring; and how many it took."""
    stretches: list[Stretch] = []
    for asked in range(batches):
        if one.done:
            return stretches, asked
        calls = one.calls(room)
        assert 0 < len(calls) <= room
        assert len({call.key for call in calls}) == len(calls)
        stretches += one.take(calls, portal.batch(calls))
    return stretches, batches


def ids(stretches: Sequence[Stretch]) -> list[int]:
    return [record.id for stretch in stretches for record in stretch.records]


@pytest.mark.parametrize("rows", [0, 7, 50])
def test_short_passes_are_whole_in_one_batch(rows: int):
    """A quiet cycle stays one request."""
    one = passes()
    stretches, batches = read(one, Portal(range(1, rows + 1), range(100, rows + 100)))
    assert (one.complete, batches, len(ids(stretches))) == (True, 1, 2 * rows)
    assert one.trouble is None


@pytest.mark.parametrize("room", [1, 2, 3, 5, 50])
def test_a_long_pass_leaves_the_others_nothing_out(room: int):
    """Whatever the room: each is read to its end, and a row that both hold comes once if it comes in one batch."""
    one = passes()
    stretches, _ = read(one, Portal(range(1, 401), range(300, 501)), room=room)
    assert one.complete
    assert set(ids(stretches)) == set(range(1, 501))
    assert len(ids(stretches)) + sum(stretch.twins for stretch in stretches) == 400 + 201


def test_a_twin_is_left_out_only_where_its_text_is_the_same():
    """A record that changed between two calls of a batch is taken both times; the later one is the newer."""
    one = passes()
    calls = one.calls(50)
    outcomes: dict[str, Outcome] = {
        call.key: answer({"tasks": [{"id": "5", "title": call.key[:3]}, {"id": "6"}]}, total=2) for call in calls
    }
    first, second = one.take(calls, Answers(outcomes, Time()))
    assert [record.id for record in first.records] == [5, 6]
    assert [(record.id, bytes(record.raw)) for record in second.records] == [(5, b'{"id":"5","title":"t_1"}')]
    assert (first.twins, second.twins) == (0, 1)


def test_a_row_without_an_id_is_told_once():
    """Both passes bring it."""
    one = passes()
    rows = [{"id": "5"}, {"id": "abc"}]
    outcomes: dict[str, Outcome] = {call.key: answer({"tasks": rows}, total=2) for call in one.calls(50)}
    stretches = one.take([], Answers(outcomes, Time()))
    assert [len(stretch.unreadable) for stretch in stretches] == [1, 0]
    assert stretches[0].unreadable == [Raw(b'{"id":"abc"}')]


@pytest.mark.parametrize("batches", range(1, 5))
def test_cut_passes_go_on_where_each_stood(batches: int):
    """One that was whole is asked for what lies behind its end only."""
    portal = Portal(range(1, 101), range(50, 351))
    cut = passes()
    before, _ = read(cut, portal, room=2, batches=batches)
    assert not cut.complete

    rest = passes(after=cut.last_ids)
    after, _ = read(rest, portal)
    assert rest.complete
    assert set(ids(before) + ids(after)) == set(range(1, 351))
    twins = sum(stretch.twins for stretch in [*before, *after])
    assert len(ids(before) + ids(after)) + twins == 100 + 301


def test_a_bookmark_of_fewer_passes_lets_the_new_one_begin_at_its_start():
    one = passes(after=(80,))
    stretches, _ = read(one, Portal(range(1, 101), range(1, 101)))
    assert [stretch.after for stretch in stretches[:2]] == [80, 0]
    assert set(ids(stretches)) == set(range(1, 101))


def test_the_trouble_of_one_pass_does_not_stop_the_other():
    """It is told at the end, and what was read is kept in mind."""
    portal = Portal(range(1, 71), range(1, 301))
    portal.tables[0].fail = lambda call: flaky() if call.key != "tprobe" and call.params["filter"][">ID"] != 0 else None
    one = passes()
    stretches, _ = read(one, portal)
    assert (one.done, one.complete, one.last_ids) == (True, False, (50, 300))
    assert isinstance(one.trouble, IncompleteRun)
    assert max(ids(stretches)) == 300


@pytest.mark.parametrize("failing", [0, 1])
def test_a_pass_refused_before_its_first_row_begins_a_new_run_afresh(failing: int):
    """Else the other one would be held to the old bound for as long as that lasts."""
    portal = Portal(range(1, 71), range(1, 71))
    portal.tables[failing].fail = lambda _call: AccessDenied("no", code="ACCESS_DENIED")
    one = passes()
    read(one, portal)
    assert (one.complete, one.last_ids) == (False, ())
    assert isinstance(one.trouble, AccessDenied)


def test_a_pass_that_lost_rows_begins_a_new_run_afresh():
    """What is missing lies before its last ID."""
    one = passes()
    outcomes: dict[str, Outcome] = {
        call.key: answer({"tasks": [{"id": str(i)} for i in ((9, 4) if call.key == "t_1_0" else (4, 9))]}, total=2)
        for call in one.calls(50)
    }
    one.take([], Answers(outcomes, Time()))
    assert (one.done, one.complete, one.last_ids) == (True, False, ())
    assert isinstance(one.trouble, IncompleteRun)
