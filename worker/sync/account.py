"""The account's own pull: who reads, in which zone, with which rights. Part of the first batch of every turn.

Rights decide whether a missing row may be believed deleted, so they are never older than the listing they judge.
"""

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from worker.bitrix24.calls import Answer, Answers, Call
from worker.errors import B24SyncError, BadAnswer, Interrupted, NeedsReauth, PortalError
from worker.resources.viewer import granted_scopes, is_admin, profile_call, viewer_from_profile
from worker.storage import cursors, portals
from worker.sync.plan import FALL, taken_back
from worker.sync.turn import Turn

log = logging.getLogger(__name__)

NOISE = timedelta(seconds=30)
"""Less is the time that an answer takes: not worth a row written in a quiet cycle."""

WAITING = frozenset({"needs_reauth", "app_removed"})
"""Accounts in these states are not asked for: only a person can heal them."""

STATUS_OF_CODE = {
    "payment_required": "payment_required",
    "application_not_found": "app_removed",
    "not_installed": "app_removed",
}


def account_status(trouble: B24SyncError | None) -> str | None:
    """The state that a trouble puts its account into; None where it passes by itself."""
    if not isinstance(trouble, PortalError):
        return None
    return STATUS_OF_CODE.get(trouble.code.lower()) or ("needs_reauth" if isinstance(trouble, NeedsReauth) else None)


class AccountPull:
    """Asks `profile` and `scope` (vendor: api-reference/common/users/profile.md, common/system/scope.md)."""

    report: None = None

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._profile = profile_call("profile")
        self._scope = Call("scope", "scope")
        self._asked_at = turn.clock.now()
        self.done = False

    def calls(self, room: int) -> list[Call]:  # noqa: ARG002 - the engine's protocol; it comes first and always fits
        self._asked_at = self._turn.clock.now()
        return [self._profile, self._scope]

    def apply(self, answers: Answers) -> None:
        profile, scope = answers.get(self._profile), answers.get(self._scope)
        if not isinstance(profile, Answer):
            raise profile
        if answers.time.portal_now is None:
            raise BadAnswer("the portal did not tell its time", method="batch")
        turn = self._turn
        viewer = viewer_from_profile(profile.result, answers.time.portal_now)
        turn.viewer = replace(viewer, trust_suffix=turn.ways.trust_suffix, series_expanded=turn.ways.expands)
        turn.is_admin = is_admin(profile.result)
        if isinstance(scope, Answer):  # refused for some kinds of account: then what was granted at connect stays
            turn.scope = frozenset(granted_scopes(scope))
        self._keep()
        self._compare_clocks(answers.time.portal_now)
        self.done = True

    def _compare_clocks(self, portal_now: datetime) -> None:
        """Note how far the portal's clock is ahead of ours. When it was set back, take the cursors back with it.

        Both in one transaction: a step is answered once. The turn ends here, for its listings were planned by the old
        cursors; the next is due at once. That ours was set forward looks the same, and costs one wider reading.

        Raises Interrupted when the clock was set back.
        """
        turn = self._turn
        ahead = portal_now - self._asked_at
        known = turn.standing.portal.clock_ahead_seconds
        fall = timedelta(seconds=known) - ahead if known is not None else timedelta(0)
        if known is not None and abs(fall) < NOISE:
            return
        turn.standing.portal.clock_ahead_seconds = ahead.total_seconds()  # for the turn's other accounts
        with turn.write() as session:
            portals.save_clock(session, turn.portal_id, ahead.total_seconds())
            if fall > FALL:
                turn.standing.moved.clear()  # earned by the clock before
                for state in cursors.load_cursors(session, turn.portal_id).values():
                    cursors.save_cursor(session, taken_back(state, fall))
        if fall > FALL:
            log.warning("the clock of portal %s was set back by %s: changes since then are read", turn.member_id, fall)
            raise Interrupted(f"the portal's clock was set back by {fall}; the next run reads from so much earlier")

    def _keep(self) -> None:
        """Store what differs from what was known; a quiet cycle writes nothing here."""
        turn = self._turn
        zone = turn.viewer.zone.key if turn.viewer.zone else None
        scope = ",".join(sorted(turn.scope))
        known = turn.standing.account(turn.account_id)
        if (known.is_admin, known.time_zone, known.scope, known.status) == (turn.is_admin, zone, scope, "ok"):
            return
        with turn.write() as session:
            portals.save_profile(session, turn.account_id, is_admin=turn.is_admin, time_zone=zone, now=turn.clock.now())
            portals.save_scope(session, turn.account_id, scope)
            if known.status != "ok":  # it answered: whatever was wrong is mended
                portals.set_account_status(session, turn.account_id, "ok")
        known.status = "ok"
