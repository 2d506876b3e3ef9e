"""The forms that a portal, or the vendor's delivery service for it, posts to an application."""

from typing import Protocol

from worker.emulator.server.grants import Application
from worker.emulator.server.tokens import TokenServer

Form = dict[str, str]


class Poster(Application, Protocol):
    """A portal, as far as its posts tell of it."""

    application_token: str
    tokens: TokenServer

    @property
    def domain(self) -> str: ...


def install_form(portal: Poster, user_id: int, event: str = "ONAPPINSTALL") -> Form:
    """ONAPPINSTALL, with the installing user's pair (api-reference/common/events/on-app-install.md)."""
    answer = portal.tokens.answer(portal.tokens.issue(portal, user_id), first=False)
    auth = {key: str(value) for key, value in answer.items() if key not in {"user_id", "expires"}}
    auth |= {"domain": portal.domain, "application_token": portal.application_token}
    data = {"VERSION": "1", "ACTIVE": "Y", "INSTALLED": "Y", "LANGUAGE_ID": portal.spec.language}
    return {
        "event": event,
        **{f"data[{key}]": value for key, value in data.items()},
        "ts": str(int(portal.tokens.clock().timestamp())),
        **{f"auth[{key}]": value for key, value in auth.items()},
    }


def page_form(portal: Poster, user_id: int) -> Form:
    """The body with which the application's page is opened in a frame (settings/oauth/simple-way.md)."""
    answer = portal.tokens.answer(portal.tokens.issue(portal, user_id), first=False)
    return {
        "AUTH_ID": str(answer["access_token"]),
        "AUTH_EXPIRES": str(answer["expires_in"]),
        "REFRESH_ID": str(answer["refresh_token"]),
        "SERVER_ENDPOINT": str(answer["server_endpoint"]),
        "APPLICATION_TOKEN": portal.application_token,
        "member_id": portal.member_id,
        "status": "L",
        "PLACEMENT": "DEFAULT",
    }


def event_form(portal: Poster, event: str, task_id: int) -> Form:
    """An online event of a task (api-reference/tasks/events-tasks/on-task-update.md)."""
    return {
        "event": event,
        "event_handler_id": "11",
        "data[FIELDS_BEFORE][ID]": str(task_id),
        "data[FIELDS_AFTER][ID]": str(task_id),
        "ts": str(int(portal.tokens.clock().timestamp())),
        "auth[domain]": portal.domain,
        "auth[client_endpoint]": f"{portal.url}/rest/",
        "auth[member_id]": portal.member_id,
        "auth[application_token]": portal.application_token,
    }
