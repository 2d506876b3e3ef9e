"""The mirror of calendars."""

from datetime import date, datetime

from sqlalchemy import BigInteger, Boolean, Date, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from worker.storage.columns import LongText, UtcDateTime
from worker.storage.models.base import Base, Mirrored, of_portal, options, portal_id_of


class CalendarSection(Mirrored, Base):
    """One calendar of a user, a group or the company."""

    __tablename__ = "calendar_sections"
    __table_args__ = options("Calendars of users, groups and the company")

    portal_id: Mapped[int] = of_portal()
    section_id: Mapped[int] = portal_id_of("The calendar's ID on the portal")
    calendar_type: Mapped[str | None] = mapped_column(LongText, comment="user, group, company_calendar, ... as sent")
    owner_id: Mapped[int | None] = mapped_column(BigInteger, comment="The user or the group; 0: the company")
    name: Mapped[str | None] = mapped_column(LongText, comment="Name")
    description: Mapped[str | None] = mapped_column(LongText, comment="Description")
    color: Mapped[str | None] = mapped_column(LongText, comment="Colour of its events")
    text_color: Mapped[str | None] = mapped_column(LongText, comment="Colour of the text on it")


class CalendarEvent(Mirrored, Base):
    """One event ID: a single event, a copy of a meeting, or a whole series (once)."""

    __tablename__ = "calendar_events"
    __table_args__ = options(
        "Calendar events; a series is one row",
        # MariaDB indexes a text by its beginning only.
        Index(None, "portal_id", "calendar_type", "owner_id", mysql_length={"calendar_type": 32}),
    )

    portal_id: Mapped[int] = of_portal()
    event_id: Mapped[int] = portal_id_of("The event's ID on the portal")
    section_id: Mapped[int | None] = mapped_column(BigInteger, comment="The calendar: calendar_sections.section_id")
    parent_event_id: Mapped[int | None] = mapped_column(
        BigInteger, comment="The meeting this row is one participant's copy of: calendar_events.event_id"
    )
    recurrence_event_id: Mapped[int | None] = mapped_column(
        BigInteger, comment="The series this single event was taken out of: calendar_events.event_id"
    )
    calendar_type: Mapped[str | None] = mapped_column(LongText, comment="user, group, company_calendar, ... as sent")
    owner_id: Mapped[int | None] = mapped_column(BigInteger, comment="The user or the group; 0: the company")
    name: Mapped[str | None] = mapped_column(LongText, comment="Name")
    description: Mapped[str | None] = mapped_column(LongText, comment="Description")
    location: Mapped[str | None] = mapped_column(LongText, comment="Place, as sent")
    all_day: Mapped[bool | None] = mapped_column(Boolean, comment="Whole days: starts_on and ends_on hold")
    starts_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, comment="Start of the (first) instance; all-day: midnight UTC of starts_on"
    )
    ends_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, comment="End of the (first) instance; all-day: midnight UTC of ends_on"
    )
    starts_on: Mapped[date | None] = mapped_column(Date, comment="First day, all-day events only")
    ends_on: Mapped[date | None] = mapped_column(Date, comment="Last day, inclusive, all-day events only")
    time_zone: Mapped[str | None] = mapped_column(LongText, comment="IANA time zone of the start")
    recurrence_rule: Mapped[str | None] = mapped_column(LongText, comment="RFC 5545 rule; NULL: not a series")
    excluded_dates: Mapped[str | None] = mapped_column(
        LongText, comment="Days on which the series does not take place, ascending, JSON list"
    )
    meeting_host_id: Mapped[int | None] = mapped_column(BigInteger, comment="Who invited: users.user_id")
    is_meeting: Mapped[bool | None] = mapped_column(Boolean, comment="Whether others are invited")
    importance: Mapped[str | None] = mapped_column(LongText, comment="high, normal or low, as sent")
    accessibility: Mapped[str | None] = mapped_column(LongText, comment="busy, free, absent, ... as sent")
    private: Mapped[bool | None] = mapped_column(Boolean, comment="Hidden from others")
    color: Mapped[str | None] = mapped_column(LongText, comment="Colour")
    masked: Mapped[bool | None] = mapped_column(Boolean, comment="The account was not shown the real content")
    title_masked: Mapped[bool | None] = mapped_column(
        Boolean, comment="Masked, and the name is a stand-in such as [Busy]"
    )
    visible_hash: Mapped[str | None] = mapped_column(
        String(32), comment="Hash of what a mask does not hide: when it is and in whose calendar"
    )


class CalendarOccurrence(Base):
    """One instance of an event within the window."""

    __tablename__ = "calendar_occurrences"
    __table_args__ = options(
        "Every instance of an event that overlaps the window",
        Index(None, "starts_at", "portal_id"),
    )

    portal_id: Mapped[int] = of_portal()
    event_id: Mapped[int] = portal_id_of("The event: calendar_events.event_id")
    starts_at: Mapped[datetime] = mapped_column(
        UtcDateTime, primary_key=True, comment="Start; all-day: midnight UTC of starts_on"
    )
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime, comment="End; all-day: midnight UTC of ends_on")
    all_day: Mapped[bool] = mapped_column(Boolean, comment="Whole days: starts_on and ends_on hold")
    starts_on: Mapped[date | None] = mapped_column(Date, comment="First day, all-day events only")
    ends_on: Mapped[date | None] = mapped_column(Date, comment="Last day, inclusive, all-day events only")


class EventAttendee(Base):
    """A person invited to a meeting."""

    __tablename__ = "event_attendees"
    __table_args__ = options("People invited to meetings", Index(None, "portal_id", "user_id"))

    portal_id: Mapped[int] = of_portal()
    event_id: Mapped[int] = portal_id_of("The meeting's parent where it is known, else the copy itself")
    user_id: Mapped[int] = portal_id_of("Who is invited: users.user_id")
    status: Mapped[str | None] = mapped_column(LongText, comment="H host, Y accepted, N declined, Q asked; as sent")
