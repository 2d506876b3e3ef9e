"""What a person sees and clicks, in a real browser, with the real daemon behind it."""

from datetime import UTC, datetime

import pytest

from tests.browser.conftest import DESKTOP, PHONE, Browser
from tests.integration.stage import Stage, read_until
from tests.integration.web.fleet import Spoil, add_portals, waiting, well
from worker.web.app import create_app
from worker.web.listing import PAGE
from worker.web.server import WebServer


def test_a_portal_is_connected_seen_and_healed_by_clicks(browser: Browser, stage: Stage):
    home = f"http://127.0.0.1:{stage.port}/"
    browser.resize(DESKTOP)
    read_until(stage.start("run"), "is running")
    browser.open(home)
    assert browser.headline() == "No portal is connected yet"

    browser.click("Connect a portal")
    browser.find("#portal").send_keys(stage.portal.domain)
    browser.click("Continue to the portal")
    browser.wait(lambda: browser.headline() == "Connected")  # the page leads on, the portal allows, and leads back
    browser.click("See the first run arrive")
    browser.wait(lambda: browser.headline() == "Everything is up to date")  # nobody reloads: the page does
    assert browser.find("section[aria-label] .rows").text == "5"
    assert browser.chrome.find_elements("css selector", ".strip .bar.ok")

    stage.emulator.token_server.revoke(stage.portal)
    stage.emulator.token_server.expire(stage.portal)
    browser.wait(lambda: browser.headline() == "One thing needs you")
    assert "does not take the authorization of user" in browser.find(".need").text

    browser.click("Authorize again")
    browser.wait(lambda: browser.headline() == "Connected")
    browser.click("See the first run arrive")
    browser.wait(lambda: browser.headline() == "Everything is up to date")
    assert browser.complaints() == []


@pytest.mark.parametrize("path", ["/", "/connect", "/oauth/callback"])
def test_a_page_fits_a_phone_reads_without_scripts_and_has_a_dark_side(browser: Browser, stage: Stage, path: str):
    stage.connect()
    stage.json("sync", "--json")
    with stage.wiring() as wiring:
        server = WebServer(create_app(wiring), "127.0.0.1", stage.port)
        server.start()
        try:
            browser.resize(PHONE)
            browser.scripts(on=False)
            grounds = []
            for scheme in ("light", "dark"):
                browser.prefer(scheme)
                browser.open(f"http://127.0.0.1:{stage.port}{path}")
                assert browser.headline()
                assert not browser.overflows()
                grounds.append(browser.find("body").value_of_css_property("background-color"))
            assert len(set(grounds)) == 2
            complaints = [it for it in browser.complaints() if "400 (BAD REQUEST)" not in it]
            assert complaints == []
        finally:
            browser.scripts(on=True)
            browser.prefer("light")
            server.close()


def test_pages_of_portals_are_turned_without_scripts_and_stay_open_with_them(browser: Browser, stage: Stage):
    def add(*kinds: Spoil) -> None:
        with wiring.ready_database.write() as session:
            add_portals(session, datetime.now(UTC), *kinds)

    with stage.wiring() as wiring:
        add(*[well] * PAGE, waiting)
        server = WebServer(create_app(wiring), "127.0.0.1", stage.port)
        server.start()
        try:
            browser.resize(PHONE)
            browser.scripts(on=False)
            browser.open(f"http://127.0.0.1:{stage.port}/")
            assert browser.find(".card h2").text == "waiting-50.example"
            browser.click("Next")
            assert browser.find(".card h2").text == "well-49.example"
            assert browser.find(".pages").text.split("\n") == ["Previous", "Page 2 of 2"]
            assert not browser.overflows()
            browser.click("Previous")
            assert browser.find(".card h2").text == "waiting-50.example"

            browser.scripts(on=True)
            browser.open(f"http://127.0.0.1:{stage.port}/?page=2")
            add(waiting)
            browser.wait(lambda: browser.headline() == "2 things need you")
            assert browser.find(".card h2").text == "well-48.example"
            assert browser.complaints() == []
        finally:
            browser.scripts(on=True)
            server.close()
