"""Thousands of portals: what is asked of the database does not grow with them, and people see what matters first."""

import re
from collections import Counter
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient

from tests.conftest import FakeClock
from tests.integration.stage import Stage
from tests.integration.statements import noted_statements
from tests.integration.web.fleet import INTERVAL, KINDS, add_fleet, add_portals, failed, late, waiting, well
from worker.overview import look
from worker.storage.ranking import Rank
from worker.storage.session import Database
from worker.web.app import create_app
from worker.web.listing import PAGE, list_portals
from worker.web.needs import needs
from worker.wiring import Wiring


def test_the_state_of_thirty_portals_takes_as_many_questions_as_that_of_three(database: Database, clock: FakeClock):
    def questions(portals: int) -> int:
        with noted_statements() as statements:
            assert len(look(database, clock.now()).as_dict()["portals"]) == portals
        return len(statements)

    with database.write() as session:
        add_fleet(session, clock.now(), 3)
    few = questions(3)
    with database.write() as session:
        add_fleet(session, clock.now(), 27)

    assert questions(30) == few


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz"])
def test_a_page_about_thirty_portals_takes_as_many_questions_as_one_about_three(
    database: Database, stage: Stage, path: str
):
    with stage.wiring(DATABASE_URL=database.url.render_as_string(hide_password=False)) as wiring:
        client = create_app(wiring).test_client()
        client.get(path)  # the schema is looked at once

        def questions() -> int:
            with noted_statements() as statements:
                assert client.get(path).status_code == 200
            return len(statements)

        with database.write() as session:
            add_fleet(session, datetime.now(UTC), 3)
        few = questions()
        with database.write() as session:
            add_fleet(session, datetime.now(UTC), 27)

        assert questions() == few


def test_the_database_finds_what_is_the_matter_with_each_portal(database: Database, clock: FakeClock):
    with database.write() as session:
        numbers = dict(zip(add_portals(session, clock.now(), *KINDS), KINDS, strict=True))
    with database.read() as session:
        listing = list_portals(session, clock.now(), INTERVAL)
    every = look(database, clock.now()).portals

    assert listing.counts.needs == len(needs(every, clock.now()))
    assert listing.counts.portals == Counter(KINDS.values())
    shown = [KINDS[numbers[number]] for number in listing.portals]
    assert shown == sorted(KINDS.values())
    assert listing.rows == len(KINDS)


def test_a_portal_is_the_same_on_a_page_and_among_all(database: Database, clock: FakeClock):
    with database.write() as session:
        add_portals(session, clock.now(), *KINDS)
    with database.read() as session:
        listing = list_portals(session, clock.now(), INTERVAL)
    every = {portal.member_id: portal for portal in look(database, clock.now()).portals}

    assert {portal.member_id: portal for portal in listing.portals.values()} == every
    assert every["m2"].resources[3].error == f"portal {min(listing.portals) + 2} said no"


def test_what_a_listing_skips_is_on_another_page(database: Database, clock: FakeClock):
    with database.write() as session:
        numbers = add_portals(session, clock.now(), *[well] * (2 * PAGE), failed)
    with database.read() as session:
        pages = [list_portals(session, clock.now(), INTERVAL, page) for page in (1, 2, 3)]
        beyond = [list_portals(session, clock.now(), INTERVAL, page).page for page in (-1, 0, 4, 10**18)]

    shown = [number for page in pages for number in page.portals]
    assert shown == [numbers[-1], *numbers[:-1]]
    assert {(page.pages, page.rows, page.counts.total) for page in pages} == {(3, len(numbers), len(numbers))}
    assert beyond == [1, 1, 3, 3]


@pytest.fixture
def many(wiring: Wiring) -> None:
    """Two pages and one portal more, the last two of which are in trouble."""
    with wiring.ready_database.write() as session:
        add_portals(session, datetime.now(UTC), *[well] * (2 * PAGE - 1), late, waiting)


@pytest.mark.usefixtures("many")
def test_the_page_shows_those_in_trouble_first_and_counts_all(client: FlaskClient):
    page = client.get("/").text
    domains = re.findall(r'<section class="card" aria-label="([^"]+)"', page)

    assert len(domains) == PAGE
    assert domains[:3] == ["waiting-100.example", "late-99.example", "well-0.example"]
    assert "One thing needs you" in page
    assert "101 portals" in page
    for told in ("1 waiting for you", "1 not up to date", "99 up to date"):
        assert told in page


@pytest.mark.usefixtures("many")
def test_the_pages_lead_to_each_other(client: FlaskClient):
    def links(address: str) -> dict[str, str]:
        return dict(re.findall(r'rel="(prev|next)" href="([^"]+)"', client.get(address).text))

    assert links("/") == {"next": "/?page=2"}
    assert links("/?page=2") == {"prev": "/?page=1", "next": "/?page=3"}
    assert links("/?page=3") == links("/?page=99") == {"prev": "/?page=2"}
    assert links("/?page=x") == links("/?page=-7") == {"next": "/?page=2"}


def test_a_page_tells_what_its_own_portals_need_and_how_much_all_do(client: FlaskClient, wiring: Wiring):
    with wiring.ready_database.write() as session:
        add_portals(session, datetime.now(UTC), *[waiting] * (PAGE + 1))
    page = client.get("/").text

    assert "51 things need you" in page
    assert "50 of 51: those of the portals on this page" in page
    assert page.count('class="need"') == PAGE


def test_few_portals_need_no_pages(client: FlaskClient, wiring: Wiring):
    with wiring.ready_database.write() as session:
        add_portals(session, datetime.now(UTC), well, failed, waiting)
    page = client.get("/").text

    assert "rel=" not in page.partition("<main")[2]
    assert "not up to date</span>" not in page


@pytest.mark.usefixtures("many")
def test_the_command_shows_those_in_trouble_and_says_how_many_there_are(stage: Stage):
    shown = stage.invoke("status").stdout

    assert shown.index("waiting-100.example") < shown.index("late-99.example") < shown.index("well-0.example")
    assert "well-60.example" not in shown
    assert "50 of 101 portals are shown: 1 waiting for you, 1 not up to date, 99 up to date." in shown
    assert len(stage.json("status", "--json")["portals"]) == 101


@pytest.mark.usefixtures("many")
def test_the_command_shows_the_portal_that_is_asked_for(stage: Stage):
    assert "well-60.example" in stage.invoke("status", "--portal", "m60").stdout
    (portal,) = stage.json("status", "--json", "--portal", "well-60.example")["portals"]
    assert portal["member_id"] == "m60"
    assert stage.invoke("status", "--portal", "nowhere.example").exit_code == 2


def test_the_ranks_are_in_the_order_in_which_they_are_shown():
    assert sorted(Rank) == [Rank.NEEDS, Rank.BEHIND, Rank.PAUSED, Rank.NEW, Rank.WELL]
