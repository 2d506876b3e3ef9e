"""A listing says that it is complete only when it is, whatever the portal does meanwhile."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.bitrix24.fakes import Table, answer, flaky
from worker.bitrix24.calls import Answer, Answers, Call, Outcome, Ref, Time
from worker.bitrix24.paging import KeysetListing
from worker.bitrix24.rows import ListMethod, Record
from worker.errors import AccessDenied, BadAnswer, MethodClosed

TASKS = ListMethod("tasks.task.list", {"select": ["ID", "TITLE"]}, items=("tasks",))
USERS = ListMethod("user.get", id_field="ID", order_style="pair", filter_param="FILTER")


def listing(*, probe: bool = True, spec: ListMethod = TASKS, **rest: object) -> KeysetListing:
    return KeysetListing(spec, prefix="t", probe=probe, **rest)  # type: ignore[arg-type]


def run(one: KeysetListing, table: Table, *, room: int = 50, halt: bool = False) -> tuple[list[int], int]:
    """All IDs, and the number of batches it took."""
    ids: list[int] = []
    for batches in range(10_000):
        if one.done:
            return ids, batches
        calls = one.calls(room)
        assert 0 < len(calls) <= room
        ids += [record.id for record in one.take(table.batch(calls, halt=halt))]
    raise AssertionError("it does not end")


def take(one: KeysetListing, *pages: Outcome | Iterable[object]) -> list[Record]:
    """Answer the next calls with these pages, each an outcome or its IDs."""
    calls = one.calls(50)
    outcomes = {}
    for call, page in zip(calls, pages, strict=False):
        rows = page if isinstance(page, Answer | Exception) else answer({"tasks": [{"id": i} for i in page]})
        outcomes[call.key] = rows
    return one.take(Answers(outcomes, Time()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "batches", "pages"),
    [(0, 1, 0), (1, 2, 1), (49, 2, 1), (50, 2, 1), (51, 2, 2), (1000, 2, 20), (2500, 2, 50), (10_000, 5, 200)],
)
def test_a_probed_listing_asks_exactly_what_there_is(rows: int, batches: int, pages: int):
    """Two requests for a thousand rows, five for ten thousand, one count, nothing thrown away."""
    table, one = Table(range(1, rows + 1)), listing()

    assert run(one, table) == (list(range(1, rows + 1)), batches)
    assert (one.complete, one.problem, one.tally.count, one.tally.total, one.wasted) == (True, None, rows, rows, 0)
    assert one.tally.max_id == (rows or None)
    assert (table.counts, table.pages) == (1, pages + 1)


@pytest.mark.parametrize(("rows", "batches", "wasted"), [(0, 1, 1), (7, 1, 0), (50, 1, 0), (51, 2, 0), (1000, 2, 0)])
def test_a_page_may_be_asked_together_with_the_probe(rows: int, batches: int, wasted: int):
    """A short listing is proven whole in one request."""
    table, one = Table(range(1, rows + 1)), listing(early_pages=1)

    assert run(one, table) == (list(range(1, rows + 1)), batches)
    assert (one.complete, one.wasted, table.counts) == (True, wasted, 1)


def test_pages_asked_together_with_a_failed_probe_are_asked_again():
    table, one = Table(range(1, 31)), listing(early_pages=1)
    table.fail = lambda call: flaky() if call.key == "tprobe" else None

    assert one.take(table.batch(one.calls(50))) == []
    assert (one.done, one.last_id) == (False, 0)
    table.fail = lambda _call: None
    assert run(one, table) == (list(range(1, 31)), 1)


@pytest.mark.parametrize(("rows", "batches"), [(0, 1), (7, 1), (49, 1), (50, 2), (200, 2), (1050, 4), (3500, 4)])
def test_an_unprobed_listing_counts_nothing(rows: int, batches: int):
    table, one = Table(range(5, rows + 5)), listing(probe=False)

    assert run(one, table) == (list(range(5, rows + 5)), batches)
    assert one.complete
    assert table.counts == 0


def test_the_calls_are_as_the_vendor_advises():
    one = listing(filter={">=CHANGED_DATE": "2026-11-23T09:00:00Z"}, after=7)

    (probe,) = one.calls(50)
    assert probe == Call(
        "tprobe",
        "tasks.task.list",
        {
            "select": ["ID"],
            "filter": {">=CHANGED_DATE": "2026-11-23T09:00:00Z", ">ID": 7},
            "order": {"ID": "desc"},
            "start": 0,
        },
    )
    one.take(Answers({"tprobe": answer({"tasks": [{"id": "90"}]}, total=80)}, Time()))
    first, second = one.calls(50)
    assert first.params["filter"] == {">=CHANGED_DATE": "2026-11-23T09:00:00Z", ">ID": 7}
    assert (first.params["start"], first.params["order"]) == (-1, {"ID": "asc"})
    assert first.params["select"] == ["ID", "TITLE"]
    assert second.params["filter"][">ID"] == Ref("t0", ("tasks", 49, "id"))


def test_users_are_ordered_by_two_strings():
    (probe,) = listing(spec=USERS).calls(1)
    assert probe.params == {"FILTER": {">ID": 0}, "sort": "ID", "order": "DESC", "select": ["ID"], "start": 0}

    (page,) = listing(spec=USERS, probe=False).calls(1)
    assert page.params == {"FILTER": {">ID": 0}, "sort": "ID", "order": "ASC", "start": -1}


@pytest.mark.parametrize("params", [{"FILTER": {}}, {"order": {}}, {"START": 1}, {"SELECT": []}, {"Sort": "ID"}])
def test_parameters_that_would_collide_are_refused(params: dict[str, object]):
    with pytest.raises(ValueError):
        ListMethod("m", params)
    with pytest.raises(ValueError):
        listing(filter={">ID": 3})


def test_room_is_kept_to_and_nothing_is_asked_without_room():
    table, one = Table(range(1, 1001)), listing()

    assert one.calls(0) == []
    assert one.take(Answers({}, Time())) == []
    assert run(one, table, room=7) == (list(range(1, 1001)), 1 + 3)
    assert one.calls(50) == []


@pytest.mark.parametrize("gone", [0, 1, 49, 50])
def test_after_a_short_page_the_rest_is_thrown_away(gone: int):
    """What follows a page that is not full is the table from its start."""
    table, one = Table(range(1, 201)), listing()
    one.take(table.batch(one.calls(50)))
    table.ids -= set(range(120, 120 + gone))
    table.shorten = lambda size: size - (table.pages == 3)  # the second page of the chain is cut short

    ids, _ = run(one, table)

    assert ids == [i for i in range(1, 201) if not 120 <= i < 120 + gone]
    assert one.wasted > 0
    assert one.complete


@pytest.mark.parametrize("position", [0, 1, 3])
@pytest.mark.parametrize("halt", [True, False])
def test_a_failed_page_ends_the_chain_and_is_asked_again(position: int, halt: bool):
    table, one = Table(range(1, 201)), listing()
    failed = []

    def fail(call: Call) -> Exception | None:
        if call.key == f"t{position}" and not failed:
            failed.append(call)
            return flaky()
        return None

    table.fail = fail
    ids, _ = run(one, table, halt=halt)

    assert ids == list(range(1, 201))
    assert one.complete


def test_a_failed_page_is_told_and_three_in_a_row_are_a_problem():
    table, one = Table(range(1, 200)), listing()
    one.take(table.batch(one.calls(50)))
    table.fail = lambda call: flaky() if call.key == "t2" else None

    assert [record.id for record in one.take(table.batch(one.calls(50)))] == list(range(1, 101))
    assert one.error is not None
    assert not one.done
    table.fail = lambda _call: flaky()
    run(one, table)
    assert one.done
    assert not one.complete
    assert "for a moment" in (one.problem or "")
    assert one.last_id == 100


@pytest.mark.parametrize("step", ["tprobe", "t0", "tcount"])
def test_what_never_succeeds_is_a_problem_at_once(step: str):
    table, one = Table(range(1, 200)), listing()
    table.fail = lambda call: AccessDenied("no") if call.key == step else None

    one.take(table.batch(one.calls(50)))
    table.ids.discard(150)
    run(one, table)

    assert (one.complete, one.done) == (False, True)
    assert isinstance(one.error, AccessDenied)


def test_a_closed_method_may_be_waited_for():
    table, one = Table(range(1, 60)), listing()
    table.fail = lambda _call: MethodClosed("closed")

    one.take(table.batch(one.calls(50)))
    assert isinstance(one.error, MethodClosed)
    assert not one.done
    table.fail = lambda _call: None
    assert len(run(one, table)[0]) == 59
    assert one.complete


@pytest.mark.parametrize(
    ("second", "kept"),
    [
        (range(1, 51), []),  # the table from its start
        ([*range(51, 60), 59, *range(60, 100)], list(range(51, 60))),  # repeated
        ([*range(51, 60), 55, *range(60, 100)], list(range(51, 60))),  # falling
        ([50, *range(51, 100)], []),  # the last page's last row again
    ],
)
@pytest.mark.parametrize("probe", [True, False])
def test_ids_that_do_not_rise_end_the_listing(second: Iterable[int], kept: list[int], probe: bool):
    one = listing(probe=probe, start_pages=2)
    if probe:
        one.take(Answers({one.calls(1)[0].key: answer({"tasks": [{"id": 200}]}, total=100)}, Time()))

    records = take(one, range(1, 51), second)

    assert [record.id for record in records] == [*range(1, 51), *kept]
    assert (one.done, one.complete) == (True, False)
    assert "fall or repeat" in (one.problem or "")


def test_rows_without_a_readable_id_are_told_once_and_the_rest_is_read():
    one = listing(probe=False, start_pages=2)
    odd: list[object] = [None, "x", {}, -1, 0, True, 2**64]

    records = take(one, [*range(1, 30), *odd[:6], *range(30, 45)], range(45, 95))
    assert [record.id for record in records] == list(range(1, 95))
    assert len(one.unreadable) == 6
    assert (one.wasted, one.done, one.last_id) == (0, False, 94)

    records = take(one, [*range(95, 100), odd[6]])
    assert (len(records), len(one.unreadable), one.complete) == (5, 1, True)


def test_the_count_counts_unreadable_rows_too():
    one = listing()
    one.take(Answers({one.calls(1)[0].key: answer({"tasks": [{"id": 3}, {"id": "x"}, {"id": 1}]}, total=3)}, Time()))

    take(one, [1, "x", 3])

    assert one.complete


def test_a_short_page_in_the_middle_costs_one_batch():
    table, one = Table(range(1, 1001)), listing()
    one.take(table.batch(one.calls(50)))
    table.shorten = lambda size: size - (table.pages == 3)

    assert run(one, table) == (list(range(1, 1001)), 2)


def test_failures_count_only_in_a_row():
    table, one = Table(range(1, 1001)), listing()
    table.fail = lambda call: flaky() if call.key == "t1" else None

    assert run(one, table) == (list(range(1, 1001)), 21)
    assert one.complete


def test_calls_that_were_never_run_are_no_failure():
    one = listing(probe=False, start_pages=3)

    take(one, range(1, 51))

    assert (one.error, one.done, one.last_id) == (None, False, 50)


def test_an_unreadable_last_row_breaks_the_chain_only():
    one = listing(probe=False, start_pages=2)

    assert len(take(one, [*range(1, 50), "x"], range(1, 51))) == 49
    assert (len(one.unreadable), one.wasted, one.done) == (1, 1, False)
    assert len(take(one, ["x", *range(51, 60)])) == 9
    assert one.unreadable == []
    assert one.complete


def test_a_page_of_nothing_readable_does_not_loop():
    one = listing(probe=False)

    assert take(one, ["x"] * 50) == []
    assert (one.done, one.complete) == (True, False)


@pytest.mark.parametrize("result", [{"tasks": "x"}, {"other": []}, [1], "x", None, {"tasks": {"0": {"id": 1}}}])
def test_a_page_of_another_shape_is_a_failure(result: object):
    one = listing(probe=False)

    take(one, answer(result))

    assert isinstance(one.error, BadAnswer)
    assert not one.complete


def test_an_empty_map_is_an_empty_page():
    one = listing(probe=False)

    take(one, answer([]))

    assert one.complete


def test_large_ids_and_both_types():
    one = listing(probe=False)

    records = take(one, ["2147483648", 4294967297, "9007199254740993"])

    assert [record.id for record in records] == [2147483648, 4294967297, 9007199254740993]
    assert bytes(records[0].raw) == b'{"id":"2147483648"}'


def test_lost_rows_are_found_out_by_the_count():
    """A portal that hides rows from the pages, but not from the count, gets no completeness for it."""
    table, one = Table(range(1, 101)), listing()
    real = table.run
    hidden = {10, 60}
    table.run = lambda call, results: (  # type: ignore[method-assign]
        real(call, results)
        if call.params["start"] == 0
        else (None, {"tasks": [row for row in real(call, results)[1]["tasks"] if int(row["id"]) not in hidden]})
    )

    ids, _ = run(one, table)

    assert len(ids) == 98
    assert not one.complete
    assert one.problem == "98 rows read where the portal counts 100 and then 100"
    assert table.counts == 2


def test_deletions_meanwhile_are_no_loss():
    table, one = Table(range(1, 301)), listing()
    one.take(table.batch(one.calls(50)))
    table.ids -= {5, 120, 121, 300}

    ids, _ = run(one, table)

    assert ids == sorted(table.ids)
    assert one.complete
    assert table.counts == 2


def test_rows_added_meanwhile_may_come_along():
    table, one = Table(range(1, 91)), listing()
    one.take(table.batch(one.calls(50)))
    table.ids |= {91, 92}

    assert run(one, table) == (list(range(1, 93)), 1)
    assert (one.complete, one.tally.max_id, table.counts) == (True, 90, 1)


def test_a_portal_without_a_count_is_read_to_its_highest_id():
    one = listing()
    one.take(Answers({one.calls(1)[0].key: answer({"tasks": [{"id": 60}]})}, Time()))

    take(one, range(1, 51))
    assert not one.done
    take(one, range(51, 61))
    assert one.complete


def test_a_portal_that_ignores_the_probes_order_is_served_the_slow_way():
    """Its first page shows no highest ID; the count then disagrees until an empty page has been seen."""
    table, one = Table(range(1, 401)), listing()
    real = table.run
    table.run = lambda call, results: real(  # type: ignore[method-assign]
        Call(call.key, call.method, {**call.params, "order": {"ID": "asc"}}), results
    )

    ids, _ = run(one, table, room=2)

    assert ids == list(range(1, 401))
    assert one.complete


def test_a_range_keeps_its_own_upper_bound_in_the_second_count():
    table, one = Table(range(1, 301)), listing(after=50, filter={"<=ID": 200})
    one.take(table.batch(one.calls(50)))
    assert (one.tally.max_id, one.tally.total) == (200, 150)
    table.ids -= {77}

    ids, _ = run(one, table)

    assert ids == [i for i in range(51, 201) if i != 77]
    assert one.complete


@st.composite
def portals(draw: st.DrawFn) -> Table:
    """A table that lives, answers short pages and fails now and then."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    table = Table(rng.sample(range(1, 601), draw(st.sampled_from([0, 1, 49, 50, 51, 150, 230, 300]))))
    short, failing, living = (draw(st.sampled_from([0.0, 0.02, 0.3])) for _ in range(3))
    table.alive = set(table.ids)  # type: ignore[attr-defined]  # who was there all the time

    def between() -> None:
        if table.ids and rng.random() < living:
            gone = rng.choice(sorted(table.ids))
            table.ids.discard(gone)
            table.alive.discard(gone)  # type: ignore[attr-defined]
        if rng.random() < living:
            table.ids.add(rng.randint(1, 700))

    table.between = between
    table.shorten = lambda size: rng.randint(1, size) if rng.random() < short else size
    table.fail = lambda _call: flaky() if rng.random() < failing else None
    return table


@settings(max_examples=400)
@given(
    table=portals(),
    probe=st.booleans(),
    room=st.integers(1, 50),
    halt=st.booleans(),
    after=st.sampled_from([0, 100]),
    early=st.integers(0, 3),
)
def test_a_complete_listing_has_lost_no_row(
    *, table: Table, probe: bool, room: int, halt: bool, after: int, early: int
):
    """Whoever was there from the first call to the last was read, once, in order; nobody else but the living was."""
    if not probe:
        table.shorten = lambda size: size  # nothing else could tell a cut page from the last one
    one = listing(probe=probe, after=after, early_pages=early)

    ids, _ = run(one, table, room=room, halt=halt)

    assert ids == sorted(set(ids))
    assert all(i > after for i in ids)
    assert one.complete != bool(one.problem)
    if one.complete:
        assert {i for i in table.alive if i > after} <= set(ids)  # type: ignore[attr-defined]


def test_a_portal_that_counts_a_row_and_never_shows_one_is_no_empty_portal():
    """The probe shows no highest ID then: the count is asked again without it."""
    one = listing(early_pages=1)
    nothing = answer({"tasks": []}, total=1)

    for _ in range(10):
        if not one.done:
            calls = one.calls(50)
            assert all("<=ID" not in call.params["filter"] for call in calls)
            take_again = {call.key: nothing if call.params["start"] == 0 else answer({"tasks": []}) for call in calls}
            one.take(Answers(take_again, Time()))  # type: ignore[arg-type]

    assert (one.done, one.complete) == (True, False)
    assert one.problem == "0 rows read where the portal counts 1 and then 1"
