"""The program: finds a command, and ends every trouble with one sentence and the right exit code."""

import gc
import importlib
import logging
import os
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

import click

from worker import __version__, log
from worker.cli.console import App, say
from worker.errors import B24SyncError, IncompleteRun, LeaseLost, NeedsReauth, SettingsError, UsageError
from worker.storage.trouble import UNUSABLE, database_sentence

FAILED, USAGE, REAUTH, INCOMPLETE = 1, 2, 3, 4
INTERRUPTED = 130
BROKEN_PIPE = 141

COMMANDS = {
    "demo": "worker.cli.demo:demo",
    "connect": "worker.cli.connect:connect",
    "run": "worker.cli.run:run",
    "sync": "worker.cli.sync:sync",
    "status": "worker.cli.status:status",
    "rejected": "worker.cli.rejected:rejected",
    "portals": "worker.cli.portals:portals",
    "methods": "worker.cli.calls:methods",
    "call": "worker.cli.calls:call",
    "record": "worker.cli.record:record",
    "replay": "worker.cli.record:replay",
    "doctor": "worker.cli.doctor:doctor",
    "db": "worker.cli.database:db",
    "keys": "worker.cli.database:keys",
    "web": "worker.cli.web:web",
}
"""Imported when asked for: most commands need neither Celery nor Flask, which take half a second to come up."""


class Program(click.Group):
    """Loads commands when they are asked for, and knows the exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click has it
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        return _load(cmd_name) if cmd_name in COMMANDS else None

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click has it
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # here, where a closed pipe can still be told from a failure
        except B24SyncError as error:
            say(*sentences(error))
            ctx.exit(exit_code([error]))
        except UNUSABLE as error:
            say(database_sentence(error))
            ctx.exit(FAILED)
        except KeyboardInterrupt:
            say("stopped")
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # Whoever read has gone, and the interpreter would complain once more when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(BROKEN_PIPE)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception:
            # Through the log, because its formatter strikes out secrets; Python's own traceback would not.
            logging.getLogger(__name__).exception("an error that b24sync did not expect")
            say("this is a mistake in b24sync; please report it with the lines above")
            ctx.exit(FAILED)
        return result


@cache
def _load(name: str) -> click.Command:
    """A command, with what all of them have in common."""
    module, _, attribute = COMMANDS[name].partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    _finish(command)
    # What is loaded by now stays until the end: a first reading, which makes millions of small objects, need not have
    # all of it looked through again and again (6 % of its CPU).
    gc.freeze()
    return command


def _finish(command: click.Command) -> None:
    """Docstrings are raw, so click's mark for "leave these lines as they are" has to be made of its two letters."""
    command.help = (command.help or "").replace("\\b\n", "\b\n")
    if isinstance(command, click.Group):
        for one in command.commands.values():
            _finish(one)
    else:
        command.params.append(
            click.Option(
                ["-v", "--verbose"],
                count=True,
                expose_value=False,
                callback=_talk,
                help="Tell more; twice: everything.",
            )
        )


def _talk(_ctx: click.Context, _parameter: click.Parameter, verbose: int) -> None:
    if verbose:
        log.set_up(level(verbose))


def level(verbose: int) -> int:
    """The logging level for so many `-v`. Without one a command tells by itself what went wrong, once."""
    return (logging.ERROR, logging.INFO, logging.DEBUG)[min(verbose, 2)]


def exit_code(errors: Iterable[B24SyncError]) -> int:
    """The code of the gravest: failed, then to be authorized again, then incomplete. Wrong usage comes alone."""
    codes = {_code(error) for error in errors}
    return next((code for code in (FAILED, USAGE, REAUTH, INCOMPLETE) if code in codes), 0)


def _code(error: B24SyncError) -> int:
    match error:
        case UsageError():
            return USAGE
        case NeedsReauth():
            return REAUTH
        case IncompleteRun() | LeaseLost():
            return INCOMPLETE
        case _:
            return FAILED


def sentences(error: B24SyncError) -> list[str]:
    """What a person is told, one sentence a line, with the cure where the error alone does not name it."""
    if isinstance(error, SettingsError):
        return list(error.problems)
    if isinstance(error, NeedsReauth):
        return [f"{error}: run `b24sync connect {error.portal or 'DOMAIN'}`"]
    return [str(error) or type(error).__name__]


@click.command(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Settings come from the environment and from .env in the working directory; see .env.example.",
)
@click.option("-v", "--verbose", count=True, help="Tell more; twice: everything.")
@click.version_option(__version__, prog_name="b24sync")
@click.pass_context
def program(ctx: click.Context, verbose: int) -> None:
    r"""Keep a local SQL database a true copy of the tasks and calendars of Bitrix24 portals.

    \b
    Examples:
      b24sync demo
      b24sync connect acme.bitrix24.com
      b24sync run
    """
    log.set_up(level(verbose))
    app = App()
    ctx.obj = app
    ctx.call_on_close(app.close)


program.help = (program.help or "").replace("\\b\n", "\b\n")
