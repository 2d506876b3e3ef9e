"""What the emulated portal posts to an application has the fields of the vendor's pages."""

from collections.abc import Iterator

import pytest

from worker.emulator import Emulator, Portal, PortalSpec, event_form, install_form, page_form


@pytest.fixture(scope="module")
def portal() -> Iterator[Portal]:
    emulator = Emulator()
    yield emulator.add_portal(PortalSpec(users=3, tasks=5, events=0, groups=0))
    emulator.stop()


def test_an_installation_has_the_fields_of_its_page(portal: Portal):
    """api-reference/common/events/on-app-install.md, settings/oauth/simple-way.md."""
    form = install_form(portal, portal.admin_id)

    assert form["event"] == "ONAPPINSTALL"
    assert {name for name in form if name.startswith("data[")} >= {"data[VERSION]", "data[LANGUAGE_ID]"}
    assert {name.removeprefix("auth[").removesuffix("]") for name in form if name.startswith("auth[")} == {
        "access_token",
        "refresh_token",
        "expires_in",
        "scope",
        "domain",
        "server_endpoint",
        "status",
        "client_endpoint",
        "member_id",
        "application_token",
    }
    assert form["auth[domain]"] == portal.domain  # the portal's, not the token server's as in its answers
    assert all(isinstance(value, str) for value in form.values())


def test_the_page_has_the_fields_of_its_page(portal: Portal):
    """settings/oauth/simple-way.md."""
    form = page_form(portal, portal.admin_id)

    assert {"AUTH_ID", "AUTH_EXPIRES", "REFRESH_ID", "member_id", "status"} <= set(form)
    assert form["member_id"] == portal.member_id


def test_an_event_has_no_token_to_renew(portal: Portal):
    """api-reference/tasks/events-tasks/on-task-update.md: no values of the task, and no refresh token."""
    form = event_form(portal, "ONTASKUPDATE", 7)

    assert form["data[FIELDS_AFTER][ID]"] == "7"
    assert "auth[application_token]" in form
    assert not any("refresh" in name for name in form)


def test_the_secret_of_events_is_the_same_everywhere(portal: Portal):
    """api-reference/events/safe-event-handlers.md."""
    told = {
        install_form(portal, 1)["auth[application_token]"],
        page_form(portal, 2)["APPLICATION_TOKEN"],
        event_form(portal, "ONTASKADD", 1)["auth[application_token]"],
    }

    assert told == {portal.application_token}
