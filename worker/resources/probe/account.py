"""What is asked about the account, the portal's server and what is to be had there."""

from datetime import datetime

import msgspec

from worker.bitrix24.calls import Answer, Answers, Call, Outcome
from worker.errors import PortalError
from worker.resources import events
from worker.resources.calendar_calls import EVENTS, MASTER, SECTIONS
from worker.resources.probe.finding import NO, UNKNOWN, YES, Finding, trouble, yes_or_no
from worker.resources.registry import LISTED
from worker.resources.viewer import Viewer, is_admin, profile_call, viewer_from_profile

METHODS = (
    *(resource.method.method for resource in LISTED.values()),
    *("tasks.task.get", "task.planner.getlist", SECTIONS, EVENTS, MASTER),
)
QUEUE = "event.offline.get"
"""What the sync calls, and the portal is asked about by name (vendor: common/system/method-get.md)."""


def calls() -> list[Call]:
    return [
        profile_call("profile"),
        Call("scope", "scope"),
        Call("server_time", "server.time"),
        events.feature_call(),
        Call("method_queue", "method.get", {"name": QUEUE}),
        *(Call(f"method_{number}", "method.get", {"name": name}) for number, name in enumerate(METHODS)),
    ]


def viewer_of(answers: Answers) -> Viewer | None:
    """Who asks; None where the portal did not say."""
    outcome, now = answers.outcomes.get("profile"), answers.time.portal_now
    if not isinstance(outcome, Answer) or now is None:
        return None
    try:
        return viewer_from_profile(outcome.result, now)
    except PortalError:
        return None


def findings(answers: Answers) -> list[Finding]:
    got = answers.outcomes
    admin = is_admin(got["profile"].result) if isinstance(got.get("profile"), Answer) else None  # type: ignore[union-attr]
    return [
        Finding("account.admin", UNKNOWN if admin is None else yes_or_no(admin), "by its profile"),
        _scopes(got.get("scope")),
        _methods(answers),
        _events(answers, admin),
        _server_zone(answers),
    ]


def limits(outcome: Outcome) -> list[Finding]:
    """Whether a call tells what it cost, and until when (vendor: limits.md)."""
    if not isinstance(outcome, Answer):
        return [Finding(name, UNKNOWN, trouble(outcome)) for name in ("operating", "operating_reset_at")]
    time, seen = outcome.time, "in the time block of tasks.task.list"
    return [
        Finding("operating", yes_or_no(time.operating is not None), seen),
        Finding("operating_reset_at", yes_or_no(time.operating_reset_at is not None), seen),
    ]


def _scopes(outcome: Outcome | None) -> Finding:
    try:
        scopes = sorted(outcome.decode(list[str])) if isinstance(outcome, Answer) else None
    except PortalError:
        scopes = None
    if scopes is None:
        return Finding("account.scopes", UNKNOWN, "the portal does not tell")
    return Finding("account.scopes", YES, ", ".join(scopes[:50]))


def _methods(answers: Answers) -> Finding:
    to_be_had = {name: _is_there(answers.outcomes.get(f"method_{number}")) for number, name in enumerate(METHODS)}
    if None in to_be_had.values():
        return Finding("methods", UNKNOWN, "the portal does not tell")
    missing = [name for name, there in to_be_had.items() if not there]
    text = f"not to be had: {', '.join(missing)}" if missing else f"all {len(METHODS)} are to be had"
    return Finding("methods", NO if missing else YES, text)


def _is_there(outcome: Outcome | None) -> bool | None:
    """Whether a method exists and this account may call it (vendor: common/system/method-get.md)."""
    if not isinstance(outcome, Answer):
        return None
    try:
        told = msgspec.json.decode(outcome.result, type=dict[str, object])
    except msgspec.MsgspecError:
        return None
    return bool(told.get("isExisting") and told.get("isAvailable"))


def _events(answers: Answers, admin: bool | None) -> Finding:
    """What is to be expected of them: `sync` asks again every day, and binds what is not bound."""
    queue, feature = _is_there(answers.outcomes.get("method_queue")), answers.outcomes.get("events_feature")
    if queue is False or admin is False:
        text = "no administrator" if admin is False else f"{QUEUE} is not to be had"
        return Finding("events", str(events.EventsMode.POLLING), text)
    if not queue or not isinstance(feature, Answer):
        return Finding("events", UNKNOWN, "the portal does not tell")
    return Finding("events", str(events.mode_of(feature)), "by the feature rest_offline_extended")


def _server_zone(answers: Answers) -> Finding:
    """`server.time` and the time block must agree: dates without an offset are read by that clock."""
    outcome = answers.outcomes.get("server_time")
    try:
        told = datetime.fromisoformat(outcome.decode(str)).isoformat()[19:] if isinstance(outcome, Answer) else None
    except (PortalError, ValueError):
        told = None
    now = answers.time.portal_now
    block = now.isoformat()[-6:] if now else None
    text = f"server.time says {told}, the time block {block}"
    return Finding("server.offset", told if told and told == block else UNKNOWN, text)
