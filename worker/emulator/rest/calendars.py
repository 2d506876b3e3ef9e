"""calendar.section.get, calendar.event.get and calendar.event.getbyid (api-reference/calendar/)."""

from datetime import UTC, datetime, timedelta

from worker.emulator.rest import php
from worker.emulator.rest.call import Call
from worker.emulator.rest.dates import parse
from worker.emulator.rest.errors import RestError
from worker.emulator.rest.eventrow import Shown, server_stamp
from worker.emulator.rest.php import Json, Map
from worker.emulator.world.model import Event, Section
from worker.emulator.world.zones import FAR, zone

_DAY = 86400


def _required(call: Call, name: str) -> RestError:
    text = f'The required parameter "{name}" for the method "{call.method}" is not set'
    return RestError("", text, status=400)


def section_get(call: Call) -> Json:
    """No paging; those that may not be seen are left out (calendar-section-get.md)."""
    calendar_type = php.to_text(call.params.get("type"))
    if not calendar_type:
        raise _required(call, "type")
    owner = call.params.get("ownerId")
    if owner is None and calendar_type != "user":
        raise _required(call, "ownerId")
    owner_id = call.user_id if owner is None else php.to_int(owner)
    return [
        _section_row(call, section)
        for section in call.portal.world.sections.values()
        if _belongs(section, calendar_type, owner_id) and call.portal.world.access(call.user_id, section) != "none"
    ]


def _belongs(section: Section, calendar_type: str, owner_id: int) -> bool:
    if section.calendar_type != calendar_type:
        return False
    return calendar_type == "company_calendar" or section.owner_id == owner_id


def _section_row(call: Call, section: Section) -> Map:
    level = call.portal.world.access(call.user_id, section)
    created = section.created.astimezone(zone(call.portal.spec.server_zone)).strftime("%Y-%m-%d %H:%M:%S")
    mine = section.calendar_type == "user" and section.owner_id == call.user_id
    edits = mine or call.portal.world.is_admin(call.user_id)
    return {
        "ID": str(section.section_id),
        "NAME": section.name,
        "GAPI_CALENDAR_ID": None,
        "DESCRIPTION": section.description,
        "COLOR": section.color,
        "TEXT_COLOR": section.text_color,
        "EXPORT": {"ALLOW": True},
        "CAL_TYPE": section.calendar_type,
        "OWNER_ID": str(section.owner_id),
        "CREATED_BY": str(section.owner_id or 1),
        "DATE_CREATE": created,
        "TIMESTAMP_X": created,
        "CAL_DAV_CON": None,
        "SYNC_TOKEN": None,
        "PAGE_TOKEN": None,
        "EXTERNAL_TYPE": "local",
        "ACCESS": {"G2": 13, f"U{section.owner_id or 1}": 19},
        "IS_COLLAB": False,
        "PERM": {
            "view_time": level != "none",
            "view_title": level in {"title", "full"},
            "view_full": level == "full",
            "add": edits,
            "edit": edits,
            "edit_section": edits,
            "access": edits,
        },
    }


def event_get(call: Call) -> Json:
    """Series come expanded; no paging; the window is as wide as its reader's clock is wrong (calendar-event-get.md)."""
    calendar_type = php.to_text(call.params.get("type"))
    if not calendar_type:
        raise RestError("", f'Mandatory parameter not specified "type" for the method "{call.method}"', status=400)
    world = call.portal.world
    owner_id = php.to_int(call.params.get("ownerId"))  # a missing one is 0: nobody's calendar
    wanted = {php.to_int(item) for item in php.as_items(call.params.get("section"))}
    sections = {
        section.section_id
        for section in world.sections.values()
        if _belongs(section, calendar_type, owner_id)
        and (not wanted or section.section_id in wanted)
        and world.access(call.user_id, section) != "none"
    }
    window = _window(call)
    shown = Shown(call)
    rows: list[Map] = []
    for event in sorted(world.events.values(), key=lambda event: (event.event_id * 7919 & 0xFF, event.event_id)):
        if event.section_id in sections:
            rows += _rows(shown, event, *window)
    return rows


def _window(call: Call) -> tuple[int, int, bool]:
    """Stamps of both ends. Without any: a month back, three ahead; with one only, the other side is open."""
    zone_name = call.portal.spec.server_zone
    begin = parse(php.to_text(call.params.get("from")), zone_name)
    end = parse(php.to_text(call.params.get("to")), zone_name)
    if begin is None and end is None:
        begin, end = call.now - timedelta(days=30), call.now + timedelta(days=90)
    least = int(begin.timestamp()) if begin else 0
    most = int(end.timestamp()) if end else int(datetime(FAR.year, FAR.month, FAR.day, tzinfo=UTC).timestamp())
    return least, most, end is None


def _rows(shown: Shown, event: Event, least: int, most: int, endless: bool) -> list[Map]:
    zone_name = shown.server_zone
    if event.rule is None:
        first, last = shown.stamps(event)
        return [shown.row(event)] if last >= least and first <= most + _DAY else []
    master = shown.row(event)
    rows: list[Map] = []
    length = event.wall_length
    for day in event.rule.days(event.starts.date()):
        starts = datetime.combine(day, event.starts.time())
        # The expansion looks at the server's clock and forgives a day on either side.
        first = server_stamp(starts, zone_name)
        if first > most + _DAY and not endless:
            break
        if server_stamp(starts + length, zone_name) < least - _DAY or day in event.excluded:
            continue
        if shown.spec.series == "once":
            return [master]
        rows.append(shown.instance(event, master, starts, starts + length, len(rows)))
    return rows


def event_by_id(call: Call) -> Json:
    """The master row, unexpanded; null for an unknown or hidden one (calendar-event-get-by-id.md)."""
    if "id" not in call.params:
        raise _required(call, "id")
    event = call.portal.world.events.get(php.to_int(call.params.get("id")))
    if event is None or call.portal.world.event_access(call.user_id, event) == "none":
        return None
    return Shown(call).row(event)
