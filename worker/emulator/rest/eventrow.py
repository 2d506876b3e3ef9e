"""One calendar row as calendar.event.get prints it (api-reference/calendar/_includes/calendar_event_fields.md)."""

from datetime import date, datetime

from worker.emulator.rest.call import Call
from worker.emulator.rest.dates import cultured, formatted
from worker.emulator.rest.php import Json, Map
from worker.emulator.world.masks import mask
from worker.emulator.world.model import Event
from worker.emulator.world.zones import FAR, instant, midnight, offset


def server_stamp(wall: datetime, server_zone: str) -> int:
    """A wall clock read as if it were the server's."""
    return int(instant(wall, server_zone).timestamp())


class Shown:
    """How one viewer is shown events."""

    def __init__(self, call: Call) -> None:
        self.world = call.portal.world
        self.user_id = call.user_id
        self.spec = call.portal.spec
        self.server_zone = self.spec.server_zone
        self.user_zone = self.world.zone_of(call.user_id)
        self._copies: dict[int, list[Event]] = {}
        for event in self.world.events.values():
            if event.is_meeting:
                self._copies.setdefault(event.parent_id, []).append(event)

    def offsets(self, event: Event) -> tuple[int, int]:
        """TZ_OFFSET_*: of the series' start, whatever the instance; 0 for whole days."""
        if event.all_day:
            return 0, 0
        begin, end = event.zone_from or self.user_zone, event.zone_to or self.user_zone
        return offset(begin, instant(event.starts, begin)), offset(end, instant(event.ends, end))

    def stamps(self, event: Event) -> tuple[int, int]:
        """*_TS_UTC: the server's stamp of the wall clock less the offset, so UTC only where the server is in UTC.

        For a series they are its start and its last day.
        """
        shift_from, shift_to = self.offsets(event)
        ends = event.ends
        if event.rule is not None:
            ends = midnight(event.rule.last_day(event.starts.date()))
        return server_stamp(event.starts, self.server_zone) - shift_from, server_stamp(
            ends, self.server_zone
        ) - shift_to

    def row(self, event: Event) -> Map:
        shift_from, shift_to = self.offsets(event)
        stamp_from, stamp_to = self.stamps(event)
        row: Map = {
            "ID": str(event.event_id),
            "PARENT_ID": str(event.parent_id),
            "DELETED": "N",
            "CAL_TYPE": event.calendar_type,
            "OWNER_ID": str(event.owner_id),
            "NAME": event.name,
            "DATE_FROM": self._text(event.starts, event),
            "DATE_TO": self._text(event.ends, event),
            "ORIGINAL_DATE_FROM": None if event.original_starts is None else self._text(event.original_starts, event),
            "TZ_FROM": event.zone_from,
            "TZ_TO": event.zone_to,
            "TZ_OFFSET_FROM": str(shift_from),
            "TZ_OFFSET_TO": str(shift_to),
            "DATE_FROM_TS_UTC": str(stamp_from),
            "DATE_TO_TS_UTC": str(stamp_to),
            "DT_SKIP_TIME": "Y" if event.all_day else "N",
            "DT_LENGTH": event.length(self.user_zone),
            "EVENT_TYPE": None,
            "CREATED_BY": str(event.created_by),
            "DATE_CREATE": self._server_text(event.created),
            "TIMESTAMP_X": self._server_text(event.changed),
            "DESCRIPTION": event.description,
            # The field list names Y, the samples show an empty text, old rows hold 1: all are met.
            "PRIVATE_EVENT": ("1" if event.event_id % 2 else "Y") if event.private else "",
            "ACCESSIBILITY": event.accessibility,
            "IMPORTANCE": event.importance,
            "IS_MEETING": event.is_meeting,
            "MEETING_STATUS": event.status or None,
            "MEETING_HOST": str(event.host) if event.host else "0",
            "MEETING": self._meeting(event),
            "LOCATION": event.location,
            "REMIND": [] if event.all_day else [{"type": "min", "count": 15}],
            "COLOR": event.color,
            "RRULE": self._rule(event),
            "EXDATE": ";".join(self._day(day) for day in sorted(event.excluded)),
            "DAV_XML_ID": f"{event.created:%Y%m%dT%H%M%SZ}-{event.event_id:032x}@portal",
            "G_EVENT_ID": "",
            "DAV_EXCH_LABEL": "",
            "CAL_DAV_LABEL": "",
            "VERSION": str(event.version),
            "ATTENDEES_CODES": [f"U{copy.owner_id}" for copy in self._copies.get(event.parent_id, [])] or None,
            "RECURRENCE_ID": event.recurrence_id,
            "RELATIONS": self._relations(event),
            "SECTION_ID": str(event.section_id),
            "SYNC_STATUS": None,
            "UF_CRM_CAL_EVENT": False,
            "UF_WEBDAV_CAL_EVENT": False,
            "SECTION_DAV_XML_ID": None,
            "DATE_FROM_FORMATTED": formatted(event.starts, date_only=event.all_day),
            "DATE_TO_FORMATTED": formatted(event.ends, date_only=event.all_day),
            "SECT_ID": str(event.section_id),
            "ATTENDEE_LIST": [
                {"id": copy.owner_id, "entryId": str(copy.event_id), "status": copy.status}
                for copy in self._copies.get(event.parent_id, [])
            ],
            "COLLAB_ID": None,
            "~RRULE_DESCRIPTION": "" if event.rule is None else f"every {event.rule.freq.lower()}",
            "attendeesEntityList": [
                {"entityId": "user", "id": copy.owner_id} for copy in self._copies.get(event.parent_id, [])
            ],
            "~DESCRIPTION": event.description,
            "~USER_OFFSET_FROM": self._user_offset(event.zone_from, event.starts),
            "~USER_OFFSET_TO": self._user_offset(event.zone_to, event.ends),
        }
        if not event.is_meeting:
            del row["ATTENDEE_LIST"], row["attendeesEntityList"]
        return self._masked(event, row)

    def instance(self, event: Event, master: Map, starts: datetime, ends: datetime, number: int) -> Map:
        """One occurrence: only the dates are its own; the number counts from the window's edge."""
        return {
            **master,
            "DATE_FROM": self._text(starts, event),
            "DATE_TO": self._text(ends, event),
            "DATE_FROM_FORMATTED": formatted(starts, date_only=event.all_day),
            "DATE_TO_FORMATTED": formatted(ends, date_only=event.all_day),
            "RINDEX": number,
        }

    def _masked(self, event: Event, row: Map) -> Map:
        level = self.world.event_access(self.user_id, event)
        if level == "full":
            return row
        hidden = mask(self.spec.language, event.accessibility)
        for name in ("DESCRIPTION", "~DESCRIPTION", "LOCATION", "REMIND", "ATTENDEE_LIST", "attendeesEntityList",
                     "ATTENDEES_CODES", "UF_CRM_CAL_EVENT", "UF_WEBDAV_CAL_EVENT"):  # fmt: skip
            row.pop(name, None)
        if level == "title":
            row["NAME"] = f"{event.name} {hidden}"
        else:
            row["NAME"] = hidden
            row["IS_ACCESSIBLE_TO_USER"] = False
        return row

    def _text(self, wall: datetime, event: Event) -> str:
        return cultured(wall, self.spec.culture, date_only=event.all_day)

    def _day(self, day: date) -> str:
        return cultured(midnight(day), self.spec.culture, date_only=True)

    def _server_text(self, at: datetime) -> str:
        wall = at.astimezone(self.world.server_tz).replace(tzinfo=None)
        return cultured(wall, self.spec.culture, date_only=False)

    def _user_offset(self, name: str, wall: datetime) -> int:
        if not name:
            return 0
        at = instant(wall, name)
        return offset(name, at) - offset(self.user_zone, at)

    def _meeting(self, event: Event) -> Json:
        if not event.is_meeting:
            return None
        host = self.world.users.get(event.host)
        return {
            "HOST_NAME": host.full_name if host else "",
            "NOTIFY": False,
            "REINVITE": False,
            "ALLOW_INVITE": False,
            "HIDE_GUESTS": False,
            "MEETING_CREATOR": event.host,
            "LANGUAGE_ID": self.spec.language,
            "MAIL_FROM": "",
        }

    def _rule(self, event: Event) -> Json:
        """An object; `""` for a single event. UNTIL is filled in also where COUNT ends the series."""
        rule = event.rule
        if rule is None:
            return ""
        until = rule.last_day(event.starts.date())
        text = self._day(until)
        out: Map = {"FREQ": rule.freq}
        if rule.freq == "WEEKLY":
            out["BYDAY"] = {day: day for day in rule.byday}
        out["INTERVAL"] = rule.interval
        if rule.count is not None:
            out["COUNT"] = rule.count
        out["UNTIL"] = text
        out["~UNTIL"] = "" if until == FAR else text
        out["UNTIL_TS"] = server_stamp(midnight(until), self.server_zone)
        return out

    def _relations(self, event: Event) -> Json:
        if event.recurrence_id is not None and event.original_starts is not None:
            return {"COMMENT_XML_ID": f"EVENT_{event.recurrence_id}_{self._day(event.original_starts.date())}"}
        return None if event.split_from is None else {"ORIGINAL_RECURSION_ID": event.split_from}
