"""One listing in several ranges at once: every row once, few requests, one count, resumed range by range."""

import random
from collections.abc import Sequence

import pytest

from tests.unit.bitrix24.fakes import Table, flaky
from worker.bitrix24.calls import Answers, Call
from worker.bitrix24.rows import ListMethod
from worker.errors import AccessDenied, IncompleteRun
from worker.sync.chains import Chains, Range
from worker.sync.passes import Stretch

TASKS = ListMethod("tasks.task.list", {"select": ["ID"]}, items=("tasks",))
EVEN = list(range(1, 18_001, 2))
JUMP = [*range(1, 12_001, 2), *range(2**33, 2**33 + 3_000)]
FAR = [*range(5_000_000, 5_008_000)]
THIN = [*range(1, 200_000, 97), *range(200_000, 206_000)]


def read(
    one: Chains, table: Table, *, at_once: int, batches: int = 999, shuffle: random.Random | None = None
) -> tuple[list[Stretch], list[int]]:
    """Everything, or what so many batches bring, and the sizes of these; under way together, landing in any order."""
    stretches: list[Stretch] = []
    sizes: list[int] = []
    flying: list[tuple[Sequence[Call], Answers]] = []
    while not one.done and len(sizes) <= batches:
        while (
            len(flying) < at_once and (one.parallel or not flying) and len(sizes) < batches and (calls := one.calls(50))
        ):
            flying.append((calls, table.batch(calls)))
            sizes.append(len(calls))
        if not flying:
            break
        stretches += one.take(*flying.pop(shuffle.randrange(len(flying)) if shuffle else 0))
    return stretches, sizes


def ids(stretches: Sequence[Stretch]) -> list[int]:
    return [record.id for stretch in stretches for record in stretch.records]


@pytest.mark.parametrize("chains", [2, 5, 16])
@pytest.mark.parametrize(
    ("table", "spare"), [(EVEN, 25), (JUMP, 25), (FAR, 25), (THIN, 150)], ids=["even", "jump", "far", "thin"]
)
def test_every_row_comes_once_for_one_count_and_few_batches_more(table: list[int], spare: int, chains: int):
    """Wherever the IDs lie: the ranges are cut anew until all are read. A wrong guess costs the rest of a batch."""
    portal = Table(table)
    one = Chains(TASKS, prefix="t", chains=chains)
    stretches, sizes = read(one, portal, at_once=chains)

    assert one.complete
    assert one.trouble is None
    assert sorted(ids(stretches)) == table
    assert portal.counts == 1
    assert len(sizes) <= 1 + len(table) / 2500 + 2 * chains
    assert portal.pages <= len(table) / 50 * 1.1 + 3 * chains + spare


@pytest.mark.parametrize("seed", range(8))
def test_the_stretches_lie_side_by_side_in_whatever_order_the_answers_land(seed: int):
    """What a sweep is told of: each ID belongs to one stretch, and the last one reaches to the end."""
    chance = random.Random(seed)
    table = sorted(chance.sample(range(1, chance.choice([20_000, 10**6, 2**40])), 7_000))
    one = Chains(TASKS, prefix="t", chains=chance.choice([2, 3, 8]))
    stretches, _ = read(one, Table(table), at_once=8, shuffle=chance)

    assert one.complete
    spans = sorted((one.span for one in stretches if one.span), key=lambda span: (span.after, span.through or 2**62))
    ends = [span.through for span in spans]
    assert [span.after for span in spans] == [0, *ends[:-1]]
    assert ends[-1] is None
    assert sorted(ids(stretches)) == table


@pytest.mark.parametrize("rows", [0, 7, 50, 400])
def test_a_short_listing_is_not_divided(rows: int):
    portal = Table(range(1, rows + 1))
    one = Chains(TASKS, prefix="t", chains=16)
    stretches, sizes = read(one, portal, at_once=16)
    assert (one.complete, len(sizes), portal.counts) == (True, 1 + (rows > 50), 1)
    assert stretches[-1].span
    assert stretches[-1].span.through is None


@pytest.mark.parametrize("batches", range(1, 5))
@pytest.mark.parametrize("table", [EVEN, JUMP], ids=["even", "jump"])
def test_a_cut_run_resumes_every_range(table: list[int], batches: int):
    """Nothing is lost, and nothing that was read is read again."""
    portal = Table(table)
    cut = Chains(TASKS, prefix="t", chains=3)
    before, _ = read(cut, portal, at_once=3, batches=batches)
    assert not cut.complete
    if not cut.ranges:
        assert cut.last_ids == (max(ids(before)),)
        return

    rest = Chains(TASKS, prefix="t", chains=3, ranges=[Range(*one) for one in cut.ranges])
    after, _ = read(rest, portal, at_once=3)
    assert rest.complete
    assert sorted(ids(before) + ids(after)) == table


def test_a_row_that_a_page_lost_is_missed():
    """The pages alone look whole; the count is not what was met, nor what is counted at the end."""
    portal = Table(EVEN)
    lost = EVEN[5_000]
    one = Chains(TASKS, prefix="t", chains=4)
    taken: list[int] = []
    while not one.done:
        calls = one.calls(50)
        portal.ids = set(EVEN) if any(call.params["start"] >= 0 for call in calls) else set(EVEN) - {lost}
        taken += ids(one.take(calls, portal.batch(calls)))
    assert lost not in taken
    assert not one.complete
    assert isinstance(one.trouble, IncompleteRun)
    assert one.ranges == one.last_ids == ()


def test_rows_that_vanish_or_come_meanwhile_are_no_loss():
    portal = Table(EVEN)
    one = Chains(TASKS, prefix="t", chains=4)
    taken: list[int] = []
    while not one.done:
        calls = one.calls(50)
        taken += ids(one.take(calls, portal.batch(calls)))
        portal.ids -= {17_999, 3}
        portal.ids |= {40_001}
    assert one.complete
    assert set(taken) >= portal.ids - {40_001}


def test_a_range_that_fails_for_a_moment_goes_on():
    portal = Table(EVEN)
    one = Chains(TASKS, prefix="t", chains=4)
    fails = iter([False, True, False, True] + [False] * 999)
    failing = False
    portal.fail = lambda _call: flaky() if failing else None
    taken: list[int] = []
    while not one.done:
        failing = next(fails)
        calls = one.calls(50)
        taken += ids(one.take(calls, portal.batch(calls, halt=True)))
    assert one.complete
    assert sorted(taken) == EVEN


def test_a_range_that_is_refused_ends_the_run_and_keeps_the_others_places():
    portal = Table(EVEN)
    one = Chains(TASKS, prefix="t", chains=2)
    read(one, portal, at_once=2, batches=3)
    portal.fail = lambda _call: AccessDenied("no", code="ACCESS_DENIED")
    read(one, portal, at_once=1, batches=1)
    assert isinstance(one.trouble, AccessDenied)
    assert len(one.ranges) == 2


def test_a_row_without_an_id_that_two_ranges_meet_is_told_and_counted_once():
    table = list(range(1, 6_001))

    class Odd(Table):
        def run(self, call: Call, results):  # noqa: ANN001
            total, result = super().run(call, results)
            first = int(result["tasks"][0]["id"]) if result["tasks"] else 0
            if not call.key.endswith("probe") and first <= 3_000 <= first + 50:
                result["tasks"].append({"id": "none"})
            return total if total is None else total + 1, result

    one = Chains(TASKS, prefix="t", chains=2)
    stretches, _ = read(one, Odd(table), at_once=2)
    assert one.complete
    assert sum(len(stretch.unreadable) for stretch in stretches) == 1
    assert sorted(ids(stretches)) == table
