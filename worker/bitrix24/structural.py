"""The fields whose values say nothing of people, and the form in which each is believed. The allow-list of recordings.

Names as the vendor's pages have them (api-reference/tasks/fields.md, user/user-fields.md, calendar/calendar-section-get
.md, calendar/_includes/calendar_event_fields.md, limits.md), without regard to case and underscores: `DATE_FROM` and
`dateFrom` are one. A field that is not here, or holds something of another form, is a person's.
"""

import re
from typing import Final

_WORDS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_NUMBER = re.compile(r"\s*-?[0-9]{1,19}(\.[0-9]{1,12})?\s*")
_DATE = re.compile(rf"(?:[0-9]{{1,4}}|[-+./:;, TZ]|[AaPp]\.?[Mm]\.?|{_WORDS})+")
_CODE = re.compile(r"[A-Za-z0-9_.#+-]{1,24}")
_ZONE = re.compile(r"[A-Za-z]+(/[A-Za-z0-9_+-]+){0,2}|[+-][0-9]{2}:?[0-9]{2}")
_COLOUR = re.compile(r"#?[0-9A-Fa-f]{3,8}")

_FIELDS = {
    _NUMBER: """
        id task_id parent_id group_id stage_id flow_id sprint_id backlog_id created_by responsible_id changed_by
        closed_by status_changed_by accomplices auditors uf_department uf_task_webdav_files forum_id forum_topic_id
        forked_by_template_id section_id sect_id owner_id meeting_host meeting_creator recurrence_id entry_id collab_id
        original_recursion_id sub_status priority time_estimate time_spent_in_logs comments_count
        service_comments_count new_comments_count duration_plan duration_fact length_deadline members_count
        dt_length tz_offset tz_offset_from tz_offset_to date_from_ts_utc date_to_ts_utc user_offset_from
        user_offset_to rindex version outlook_version interval count until_ts task.planner.getlist
        total next start finish duration processing operating operating_reset_at
    """,
    _DATE: """
        deadline created_date changed_date activity_date closed_date start_date_plan end_date_plan date_start
        status_changed_date viewed_date date_from date_to date_from_formatted date_to_formatted original_date_from
        date_create timestamp_x exdate until date_register last_login last_activity_date date_finish server.time
    """,
    _CODE: """
        status mark duration_type cal_type meeting_status accessibility importance private_event event_type
        external_type site_id freq byday user_type active admin is_online deleted dt_skip_time is_meeting
        is_accessible_to_user not_viewed favorite is_muted is_pinned is_pinned_in_group multitask replicate
        allow_change_deadline allow_time_tracking task_control add_in_report match_work_time subordinate
        description_in_bbcode opened attendees_codes entity_id language_id is_collab scope
    """,
    _ZONE: "tz_from tz_to time_zone",
    _COLOUR: "color text_color",
}

_HOLDERS = """
    result tasks task users user responsible creator group accomplices_data auditors_data tags meeting rrule remind
    attendee_list attendees_entity_list perm access export relations action events items time
"""


def plain(name: str) -> str:
    """A field's name without its spelling."""
    return name.replace("_", "").lstrip("~").lower()


FORMS: Final = {plain(name): form for form, names in _FIELDS.items() for name in names.split()}


def is_structural(name: str, text: str) -> bool:
    """Whether `text` is what a field of this (plain) name should hold, so that it may be told."""
    form = FORMS.get(name)
    return form is not None and form.fullmatch(text) is not None


CONTAINERS: Final = frozenset(map(plain, _HOLDERS.split()))
"""What may hold structural fields: elsewhere a name says nothing, a custom field may have a `status` too."""
