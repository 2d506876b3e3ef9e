"""What all commands share: the parts of this process, and how people are spoken to."""

import sys
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TextIO

import click
from rich.console import Console
from rich.text import Text

from worker.config import Settings
from worker.errors import UsageError
from worker.storage import portals
from worker.storage.models import Account, Portal
from worker.wiring import Wiring
from worker.wording import span

WIDE = 160
"""Columns of a table that goes into a pipe: nothing is wrapped for whoever reads it with grep."""

COLOURS = {
    "ok": "green",
    "active": "green",
    "incomplete": "yellow",
    "guarded": "yellow",
    "paused": "yellow",
    "failed": "red",
    "closed": "red",
    "needs_reauth": "red",
}


@dataclass
class App:
    """This process's parts; settings are read when a command first needs them."""

    stop: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def settings(self) -> Settings:
        return Settings.load()

    @cached_property
    def wiring(self) -> Wiring:
        return Wiring(self.settings, self.stop)

    def portal(self, name: str) -> tuple[Portal, Account]:
        """The portal that a person means, and the account that reads it. Raises UsageError."""
        with self.wiring.ready_database.read() as session:
            portal = portals.find_portal(session, name)
            account = portals.primary_account(session, portal.id) if portal else None
        if portal is None:
            raise UsageError(f"no portal {name!r} is connected: `b24sync portals` lists those that are")
        if account is None:
            raise UsageError(f"{portal.domain} has no account: run `b24sync connect {portal.domain}`")
        return portal, account

    def close(self) -> None:
        self.stop.set()
        if "wiring" in self.__dict__:
            self.wiring.close()


pass_app = click.make_pass_decorator(App)


def say(*lines: str) -> None:
    """Tell a person, on stderr."""
    for line in lines:
        click.echo(f"b24sync: {plain(line)}", err=True)


def plain(text: str) -> str:
    """`text` without control characters: some of it comes from portals, and a terminal would obey them."""
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)


def coloured(word: str | None) -> Text:
    """A status in its colour; nothing is read as markup."""
    return Text("-" if word is None else plain(word), style=COLOURS.get(word or "", ""))


def stdout() -> Console:
    """For tables, which are data: they go where a pipe reads them."""
    return _console(sys.stdout)


def stderr() -> Console:
    return _console(sys.stderr)


def _console(file: TextIO) -> Console:
    return Console(file=file, width=None if file.isatty() else WIDE, highlight=False, markup=False)


def ago(moment: datetime | None, now: datetime) -> str:
    return "never" if moment is None else f"{span(int((now - moment).total_seconds()))} ago"


def ahead(moment: datetime | None, now: datetime) -> str:
    """When something comes; what is overdue comes now."""
    if moment is None:
        return "now"
    left = (moment - now).total_seconds()
    return "now" if left <= 0 else f"in {span(left)}"


def amount(count: int, noun: str) -> str:
    """How many of what."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def now() -> datetime:
    return datetime.now(UTC)
