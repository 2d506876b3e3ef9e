"""`b24sync methods` and `b24sync call`: a portal's own REST methods, by hand."""

import json
import re
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from worker.cli.console import App, pass_app, plain
from worker.errors import CallRefused, UsageError

_METHOD = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
# A name may begin with an operator that holds the equals sign itself: filter[>=ID]=5, filter.!=STATUS=5.
_NAME = r"[!<>=%@?~]*[^=.\[\]]+"
_PARAMETER = re.compile(rf"(?P<key>{_NAME}(?:\.{_NAME}|\[[^\]]*\])*)=(?P<value>.*)", re.DOTALL)
_STEP = re.compile(rf"\[([^\]]*)\]|({_NAME})")


@click.command()
@click.argument("portal", metavar="P")
@pass_app
def methods(app: App, portal: str) -> None:
    r"""Print the REST methods that a portal offers, one a line.

    \b
    Example:
      b24sync methods acme.bitrix24.com
    """
    client = app.wiring.client_for(*app.portal(portal))
    try:
        answer = client.call("methods", {"full": True})
    except CallRefused:  # some accounts may ask for their own methods only
        answer = client.call("methods")
    for name in answer.decode(list[str]):
        click.echo(plain(name))


@click.command()
@click.argument("portal", metavar="P")
@click.argument("method")
@click.option("-p", "pairs", multiple=True, metavar="KEY=VALUE", help="A parameter, such as filter[>ID]=5; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print result and time as the portal sent them.")
@pass_app
def call(app: App, portal: str, method: str, pairs: tuple[str, ...], as_json: bool) -> None:
    r"""Call one REST method and print its result.

    \b
    Examples:
      b24sync call acme.bitrix24.com profile
      b24sync call acme.bitrix24.com tasks.task.list -p 'filter[>ID]=5' -p 'select=["ID","TITLE"]'
    """
    if not _METHOD.fullmatch(method):
        raise UsageError(f"{method!r} is no method's name, such as tasks.task.list")
    answer = app.wiring.client_for(*app.portal(portal)).call(method, parameters(pairs))
    if as_json:
        click.echo(f'{{"result": {_text(answer.result)}, "time": {_text(answer.raw_time) or "null"}}}')
    else:
        # For people: letters as letters. Half an emoji, which JSON can hold and no terminal can show, becomes a "?".
        text = json.dumps(json.loads(bytes(answer.result)), indent=2, ensure_ascii=False)
        click.echo(plain(text.encode("utf-8", "replace").decode()))


def parameters(pairs: Sequence[str]) -> dict[str, Any]:
    """What `-p KEY=VALUE` says, nested as its keys are written. Raises UsageError."""
    found: dict[str, Any] = {}
    for pair in pairs:
        match = _PARAMETER.fullmatch(pair)
        if match is None:
            raise UsageError(f"-p {pair!r} is not KEY=VALUE, such as filter[>ID]=5")
        steps = [inside if name is None else name for inside, name in _steps(match["key"])]
        _put(found, steps, _value(match["value"]), pair)
    return found


def _steps(key: str) -> list[tuple[str, str | None]]:
    return [(step[1] or "", step[2]) for step in _STEP.finditer(key)]


def _put(found: dict[str, Any], steps: Sequence[str], value: object, pair: str) -> None:
    """Set one value; `[]` appends, as PHP has it."""
    here: Any = found
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if isinstance(here, list) != (step == "") or not isinstance(here, list | dict):
            raise UsageError(f"-p {pair!r} contradicts another -p: one name cannot be both a value and a list")
        last = following is None
        fresh = value if last else [] if following == "" else {}
        if isinstance(here, list):
            here.append(fresh)
            here = fresh
        elif last:
            here[step] = fresh
        else:
            here = here.setdefault(step, fresh)


def _value(text: str) -> object:
    """JSON objects, arrays and numbers count as such; everything else is the text itself."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict | list | int | float) and not isinstance(value, bool) else text


def _refuse(word: str) -> None:
    raise ValueError(word)  # NaN and Infinity are no JSON


def _text(raw: msgspec.Raw) -> str:
    return bytes(raw).decode()
