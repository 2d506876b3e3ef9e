"""The vendor's own SDK as a judge: it speaks https only, and to the token server whose name is written into it."""

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, build_opener

from b24pysdk.credentials import BitrixApp, BitrixToken, BitrixWebhook
from b24pysdk.errors import BitrixAPIExpiredToken, BitrixAPIInsufficientScope, BitrixAPINotFound
from b24pysdk.errors.oauth import BitrixOAuthInvalidClient, BitrixOAuthInvalidGrant

from tests.judges.edge import edge
from tests.judges.measure import (
    TASK_FIELDS,
    Row,
    Verdict,
    occurrences,
    task,
    true_occurrences,
    true_tasks,
    true_users,
    user,
    verdict,
    window,
)
from worker.emulator import Emulator, Portal, PortalSpec

JUDGE = "b24pysdk"
TOKEN_SERVER = "oauth.bitrix24.tech"  # fixed in the SDK
HOST = "127.0.0.1"  # the SDK takes the host of `client_endpoint` and forgets its port


def judge(folder: Path) -> Iterator[Verdict]:
    """Everything that the SDK reads of one portal."""
    with Emulator() as emulator:
        spec = PortalSpec(user_zone="UTC", other_zones=(), users=60, tasks=420, message_ids="number")
        portal = emulator.add_portal(spec)
        portal.register_app("http://127.0.0.1/callback")
        emulator.token_server.exchange_tells = "user"
        with edge({TOKEN_SERVER: emulator.auth_url.removeprefix("http://"), HOST: portal.domain}, folder) as front:
            os.environ |= {"HTTPS_PROXY": front.proxy, "REQUESTS_CA_BUNDLE": str(front.bundle), "NO_PROXY": ""}
            yield from _judge(emulator, portal)
            yield verdict(JUDGE, "hosts asked over TLS", set(front.tunnels), {TOKEN_SERVER, HOST})


def _judge(emulator: Emulator, portal: Portal) -> Iterator[Verdict]:
    app = BitrixApp(client_id=portal.client_id, client_secret=portal.client_secret)
    oauth = app.get_oauth_token(_code(portal))
    told = [oauth.member_id, oauth.user_id, ",".join(oauth.scope), oauth.status.value]
    yield verdict(JUDGE, "authorization", told, [portal.member_id, portal.admin_id, portal.scope, "L"])
    token = BitrixToken.from_oauth(oauth, app)
    yield from _singles(portal, token)
    yield from _lists(portal, token)
    yield from _calendar(portal, token)
    yield from _offline(portal, token)
    yield from _webhook(portal)
    yield from _refresh(emulator, portal, token)
    yield from _refusals(portal, app, token)


def _code(portal: Portal) -> str:
    """As the browser of a person who allows the application brings it."""

    class Stay(HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None: ...

    query = urlencode({"client_id": portal.client_id, "state": "s"})
    try:
        build_opener(Stay).open(f"{portal.url}/oauth/authorize/?{query}", timeout=10)
    except HTTPError as answer:
        return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
    raise AssertionError("the portal did not send the browser back")


def _singles(portal: Portal, token: BitrixToken) -> Iterator[Verdict]:
    client = token.get_client()
    profile = client.profile().value
    admin = portal.world.users[portal.admin_id]
    read = [profile.bitrix_id, profile.admin, profile.name, str(profile.time_zone)]
    yield verdict(JUDGE, "profile", read, [admin.user_id, True, admin.name, admin.zone])
    yield verdict(JUDGE, "scope", client.scope().result, portal.scope.split(","))
    info = client.app.info().value
    yield verdict(JUDGE, "app.info", [info.code, info.installed, info.status.value], [portal.client_id, True, "L"])
    now = client.server.time().value
    yield verdict(JUDGE, "server.time", [abs((now - portal.clock()).total_seconds()) < 60], [True])
    yield verdict(JUDGE, "feature.get", [client.feature.get("rest_offline_extended").value.value], [True])
    methods = {name: client.method.get(name).result for name in ("tasks.task.list", "no.such.method")}
    read = [bool(answer["isExisting"] and answer["isAvailable"]) for answer in methods.values()]
    yield verdict(JUDGE, "method.get", read, [True, False])
    chosen = portal.world.task_ids[7]
    got = client.tasks.task.get(chosen, select=TASK_FIELDS).result["task"]
    yield verdict(JUDGE, "tasks.task.get", [task(got)], [row for row in true_tasks(portal) if row["id"] == chosen])
    wanted = portal.world.task_ids[:120]
    calls = {f"t{one}": client.tasks.task.get(one, select=TASK_FIELDS) for one in wanted}
    answers = client.call_batches(calls).result
    read = [task(answer["task"]) for answer in answers.result.values()]
    yield verdict(JUDGE, "batches of 50", read, [row for row in true_tasks(portal) if row["id"] in wanted])
    first = client.call_batch([client.tasks.task.get(one, select=TASK_FIELDS) for one in wanted[:50]]).result
    read = [task(answer["task"]) for answer in first.result]  # a list, since none of the calls failed
    yield verdict(JUDGE, "a batch without names", read, [row for row in true_tasks(portal) if row["id"] in wanted[:50]])


def _lists(portal: Portal, token: BitrixToken) -> Iterator[Verdict]:
    client = token.get_client()
    tasks, users = true_tasks(portal), true_users(portal)
    pages = client.tasks.task.list(select=TASK_FIELDS, order={"ID": "asc"}).as_list().result
    yield verdict(JUDGE, "tasks page by page", map(task, pages), tasks)
    for descending in (False, True):
        fast = client.tasks.task.list(select=TASK_FIELDS).as_list_fast(descending=descending).result
        rows = [task(row) for row in fast]
        yield verdict(JUDGE, f"tasks in chains, {'falling' if descending else 'rising'}", rows, tasks)
    open_tasks = client.tasks.task.list(select=TASK_FIELDS, filter={"!STATUS": 5, ">RESPONSIBLE_ID": 1}).as_list_fast()
    expected = [row for row in tasks if row["status"] != 5 and row["responsible"] > 1]
    yield verdict(JUDGE, "tasks by a filter", map(task, open_tasks.result), expected)
    yield verdict(JUDGE, "users page by page", map(user, token.call_list("user.get")["result"]), users)
    objects = list(client.user.get(sort="ID", order="ASC").values)  # read field by field, by the SDK's own schema
    read = [(one.bitrix_id, one.name, one.work_position or "", sorted(one.uf_department_ids)) for one in objects]
    people = sorted(portal.world.users.values(), key=lambda one: one.user_id)[:50]
    known = [(one.user_id, one.name, one.work_position, sorted(one.departments)) for one in people]
    yield verdict(JUDGE, "users as objects", read, known)
    yield verdict(JUDGE, "users in chains", map(user, token.call_list_fast("user.get")["result"]), users)


def _calendar(portal: Portal, token: BitrixToken) -> Iterator[Verdict]:
    me, span = portal.admin_id, window(portal)
    params = {"type": "user", "ownerId": me, "from": _day(span[0].date()), "to": _day(span[1].date())}
    rows = token.call_method("calendar.event.get", params)["result"]
    yield verdict(JUDGE, "calendar, instances", occurrences(rows, span), true_occurrences(portal, me, span))
    sections = token.get_client().calendar.section.get("user", owner_id=me).result
    mine = [one for one in portal.world.sections.values() if (one.calendar_type, one.owner_id) == ("user", me)]
    read = [(int(row["ID"]), row["NAME"]) for row in sections]
    yield verdict(JUDGE, "calendar, sections", read, [(one.section_id, one.name) for one in mine])


def _day(day: date) -> str:
    return day.isoformat()


def _offline(portal: Portal, token: BitrixToken) -> Iterator[Verdict]:
    client = token.get_client()
    wanted = ["ONTASKADD", "ONTASKUPDATE", "ONTASKDELETE", "ONCALENDARENTRYDELETE"]
    for name in wanted:
        client.event.bind(name, event_type="offline").result  # noqa: B018 - asks when looked at
    bound = [(one.event, one.offline) for one in client.event.get().values]
    yield verdict(JUDGE, "events bound", bound, [(name, True) for name in wanted])
    new = portal.create_task(title="told by an event")
    portal.update_task(new, title="and again")
    portal.update_task(new, title="and once more")  # of several changes one row is left
    gone = portal.create_task(title="short-lived")
    portal.delete_task(gone)
    happened = [("ONTASKADD", new), ("ONTASKUPDATE", new), ("ONTASKADD", gone), ("ONTASKDELETE", gone)]
    listed = client.event.offline.list().values
    yield verdict(JUDGE, "events listed", map(_event, listed), happened)
    package = client.event.offline.get(clear=False)
    yield verdict(JUDGE, "events taken", map(_event, package.values), happened)
    process = package.result["process_id"]
    half = [one.message_id for one in list(package.values)[:2]]
    client.event.offline.clear(process, message_id=half).result  # noqa: B018
    rest = client.event.offline.get(clear=False, process_id=process).values
    yield verdict(JUDGE, "events left of a process", map(_event, rest), happened[2:])
    client.event.offline.clear(process).result  # noqa: B018
    yield verdict(JUDGE, "events after clearing", [len(list(client.event.offline.list().values))], [0])


def _event(one: Any) -> tuple[str, int]:  # noqa: ANN401 - the SDK's
    data = one.event_data
    side = next(side for name in ("FIELDS_AFTER", "FIELDS_BEFORE") if isinstance(side := data.get(name), dict))
    return one.event_name, int(side["ID"])


def _webhook(portal: Portal) -> Iterator[Verdict]:
    path = portal.webhook_url(portal.admin_id).partition("/rest/")[2].strip("/")
    hook = BitrixWebhook(domain=HOST, webhook_token=path)
    info = hook.get_client().app.info().result
    yield verdict(JUDGE, "app.info by webhook", info["SCOPE"], portal.scope.split(","))
    rows = hook.get_client().tasks.task.list(select=TASK_FIELDS).as_list_fast().result
    yield verdict(JUDGE, "tasks by webhook", map(task, rows), true_tasks(portal))


def _refresh(emulator: Emulator, portal: Portal, token: BitrixToken) -> Iterator[Verdict]:
    before, grants = token.refresh_token, len(emulator.token_server.log)
    emulator.token_server.expire(portal)
    rows: list[Row] = list(token.call_list_fast("tasks.task.list", {"select": TASK_FIELDS})["result"])
    yield verdict(JUDGE, "tasks over an expired token", map(task, rows), true_tasks(portal))
    asked = [grant.grant_type for grant in emulator.token_server.log[grants:]]
    yield verdict(JUDGE, "refreshes for it", asked, ["refresh_token"])
    yield verdict(JUDGE, "another refresh token", [token.refresh_token != before], [True])


def _refusals(portal: Portal, app: BitrixApp, token: BitrixToken) -> Iterator[Verdict]:
    """Each refusal must be the one that the SDK knows by this name."""
    seen = []
    for kind, act in (
        (BitrixAPINotFound, lambda: token.call_method("no.such.method")),
        (
            BitrixAPIInsufficientScope,
            lambda: _scarce(portal, app).call_method("calendar.section.get", {"type": "user"}),
        ),
        (BitrixAPIExpiredToken, lambda: _expired(portal, app).call_method("profile")),
        (BitrixOAuthInvalidGrant, lambda: app.refresh_oauth_token("unknown")),
        (BitrixOAuthInvalidClient, lambda: BitrixApp(client_id="local.x", client_secret="y").get_oauth_token("z")),
    ):
        try:
            act()
        except kind as error:
            seen.append(type(error).__name__)
    known = ["BitrixAPIExpiredToken", "BitrixAPIInsufficientScope", "BitrixOAuthInvalidClient"]
    yield verdict(JUDGE, "refusals by their names", seen, [*known, "BitrixOAuthInvalidGrant", "BitrixAPINotFound"])


def _scarce(portal: Portal, app: BitrixApp) -> BitrixToken:
    """A token that was given before the application's card had `calendar`."""
    scope, portal.scope = portal.scope, "task"
    pair = portal.issue_tokens(portal.admin_id)
    portal.scope = scope
    return BitrixToken(domain=HOST, auth_token=pair["access_token"], bitrix_app=app)


def _expired(portal: Portal, app: BitrixApp) -> BitrixToken:
    """One without a refresh token: the SDK says so instead of refreshing."""
    pair = portal.issue_tokens(portal.admin_id)
    portal.tokens.expire(portal)
    return BitrixToken(domain=HOST, auth_token=pair["access_token"], bitrix_app=app)
