"""Stories that once made a mirror false; each says what broke."""

from tests.integration.mirror import MONDAY, Stage, statuses


def test_an_own_copy_outlives_the_sight_of_its_meetings_parent(stage: Stage):
    """A host's calendar was hidden; with the parent our copy was marked, which our own calendar still showed."""
    mirror = stage.mirror(tasks=5, events=10, users=4, calendars="mine,everyone")
    portal = mirror.portal
    host = max(user.user_id for user in portal.world.users.values() if user.active)
    parent = portal.create_event(host, MONDAY, MONDAY, attendees={portal.admin_id: "Y"})
    mirror.sync()
    (copy,) = [row["event_id"] for row in mirror.rows("calendar_events") if row["parent_event_id"] == parent]

    portal.set_admin(portal.admin_id, admin=False)
    for section in portal.world.sections.values():
        section.others = "none" if section.owner_id == host else "full"
    reports = mirror.sync(resources=["calendar"], force=True)

    assert statuses(reports) == {"calendar": "ok"}
    assert parent not in mirror.ids("calendar_events")
    assert copy in mirror.ids("calendar_events")
    assert mirror.differences("calendar_events", "calendar_occurrences", "event_attendees") == []
