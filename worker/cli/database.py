"""`b24sync db` and `b24sync keys`: the schema, and the encryption of the stored tokens."""

import click

from worker.cli.console import App, amount, pass_app, say
from worker.storage import migrate, revisions
from worker.storage.cipher import Cipher, add_key_to_file, load_or_create_key_file, rotate


@click.group()
def db() -> None:
    r"""Look at the database's schema, or upgrade it.

    \b
    Example:
      b24sync db upgrade
    """


@db.command("upgrade")
@pass_app
def upgrade(app: App) -> None:
    r"""Create or upgrade the schema.

    \b
    Example:
      b24sync db upgrade
    """
    migrate.upgrade(app.wiring.database)
    say(f"the schema is at revision {revisions.head()}")


@db.command("current")
@pass_app
def current(app: App) -> None:
    r"""Print the schema's revision.

    Nothing where there is no schema yet.

    \b
    Example:
      b24sync db current
    """
    revision = revisions.current(app.wiring.database)
    if revision is None:
        say("the database has no schema yet: run `b24sync db upgrade`")
    else:
        click.echo(revision)


@db.command("check")
@click.pass_context
def check(ctx: click.Context) -> None:
    r"""Compare the schema with what is needed.

    Exit 1 where they differ.

    \b
    Example:
      b24sync db check
    """
    database = ctx.ensure_object(App).wiring.database
    revision, head = revisions.current(database), revisions.head()
    if revision != head:
        say(f"the schema is at {revision or 'no revision'}, this program needs {head}: `b24sync db upgrade`")
        ctx.exit(1)
    differences = migrate.check(database)
    say(*differences or ["the schema is right"])
    ctx.exit(1 if differences else 0)


@click.group()
def keys() -> None:
    r"""Change the key that encrypts the stored tokens.

    \b
    Example:
      b24sync keys rotate
    """


@keys.command("rotate")
@pass_app
def rotate_keys(app: App) -> None:
    r"""Encrypt all stored tokens with a new key.

    That is a new one in the key file, or the first of B24SYNC_ENCRYPTION_KEYS where they are set.

    \b
    Example:
      b24sync keys rotate
    """
    database, settings = app.wiring.ready_database, app.settings
    if settings.encryption_keys:
        cipher, which = Cipher(settings.encryption_keys), "the first key of B24SYNC_ENCRYPTION_KEYS"
    else:
        load_or_create_key_file(settings.key_file)
        cipher, which = Cipher(add_key_to_file(settings.key_file)), f"a new key, the first in {settings.key_file}"
    with database.write() as session:
        count = rotate(session, cipher)
    say(f"the secrets of {amount(count, 'account')} are encrypted with {which}")
    if settings.encryption_keys:
        say("restart what runs: a process keeps the environment, and with it the keys, that it was started with")
    else:
        say("what runs takes up the new key by itself")
