"""Which pulls an account's turn consists of."""

from collections.abc import Mapping

from worker.resources.registry import LISTED
from worker.sync.account import AccountPull
from worker.sync.calendar import CalendarPull
from worker.sync.engine import Pull
from worker.sync.events_setup import event_pulls
from worker.sync.listing import ListingPull, SweepPull
from worker.sync.plan import Plan
from worker.sync.planner import PlannerPull
from worker.sync.report import Mode, Report
from worker.sync.turn import Turn


def pulls_of(turn: Turn, plans: Mapping[str, Plan], reports: Mapping[str, Report]) -> list[Pull]:
    """What this account reads: the primary one everything, another one only what is its own. Empty: nothing is due.

    Tasks come last, for a long listing fills whatever room the others leave in a batch.
    """
    listings: list[ListingPull] = []
    sweeps: list[SweepPull] = []
    if turn.is_primary:
        for name, what in plans.items():
            listing = ListingPull(turn, LISTED[name], what, reports[name], turn.standing.cursor(name))
            listings.append(listing)
            if what.mode is Mode.RECONCILE:
                sweeps.append(SweepPull(turn, LISTED[name], reports[name], turn.standing.cursor(name), listing))
    others: list[Pull] = []
    if "planner" in reports:
        others.append(PlannerPull(turn, reports["planner"]))
    if "calendar" in reports:
        needs_lists = bool({"groups", "everyone"} & set(turn.options.calendars))

        def ready() -> bool:
            return not needs_lists or all(listing.whole for listing in listings)

        others.append(CalendarPull(turn, reports["calendar"], turn.standing.cursor("calendar"), ready))
    pulls: list[Pull] = [*others, *listings, *sweeps]
    return [AccountPull(turn), *event_pulls(turn, reports, pulls), *pulls] if pulls else []
