"""`b24sync web`: the web pages alone, for where worker and beat run elsewhere."""

import logging
import signal

import click

from worker import log
from worker.cli.connect import cannot_listen
from worker.cli.console import App, pass_app, say
from worker.web.app import create_app
from worker.web.server import WebServer


@click.command()
@pass_app
def web(app: App) -> None:
    r"""Serve the web pages until stopped.

    For where worker and beat run elsewhere; `b24sync run` serves them itself.

    \b
    Example:
      b24sync web
    """
    log.set_up(min(logging.getLogger().level, logging.INFO))  # without -v a daemon still tells what it does
    host, port = app.settings.web_listen
    app.wiring.ready_database  # noqa: B018 - a schema that is behind is told before anything listens
    try:
        server = WebServer(create_app(app.wiring), host, port)
    except OSError as error:
        raise cannot_listen(host, port, error) from error
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: app.stop.set())
    server.start()
    say(f"web pages on http://{host}:{server.port}; Ctrl-C ends")
    try:
        while not app.stop.wait(60):  # not for ever: a wait without an end hears no signal on some systems
            pass
    finally:
        server.close()
