"""A recording's form: JSON lines. What was asked, in words that mean the same whatever batch it was asked in. Pure.

The first line tells the version and with what the run was made. Then, for each request, a line without `call` (when,
status, the batch's `time`) and one for each of its calls (`call`, `params`, and `answer` or `error`). The last line has
the figures of the run. docs/recording.md says what each field holds.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

VERSION: Final = 1

_REFERENCE = re.compile(r"\$result((?:\[[^\[\]]+\])+)")
_PART = re.compile(r"\[([^\[\]]+)\]")
MISSING: Final = "(a row that was not there)"
"""What a reference led to where its row was missing: what the portal made of it then is its own affair."""


class Asked(NamedTuple):
    """One call as it went out.

    Args:
        key: Its name in the batch; "" for a call by itself.
        method: The method.
        params: Of a command names as PHP reads them (`filter[>ID]`), references replaced by what they led to; of a
            call by itself what was sent, as JSON where it is no text.
    """

    key: str
    method: str
    params: dict[str, str]


def commands(body: Mapping[str, Any]) -> dict[str, str]:
    """The commands of a batch's body; keys to `method?query`."""
    return {str(key): str(command) for key, command in body.get("cmd", {}).items()}


def asked(key: str, command: str, results: Mapping[str, Any]) -> Asked:
    """A command of a batch, given the results of those before it."""
    method, _, query = command.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    return Asked(key, method, {name: _followed(value, results) for name, value in pairs})


def asked_alone(method: str, body: Mapping[str, Any]) -> Asked:
    """A call that is no batch."""
    params = {name: value for name, value in body.items() if name != "auth"}
    return Asked(
        "", method, {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
    )


def method_of(url: str) -> str:
    """The method that an address calls, REST 3.0's with its prefix; nothing else of the address may be told."""
    method = url.rstrip("/").rpartition("/")[2]
    return f"api/{method}" if "/rest/api/" in url else method


def _followed(value: str, results: Mapping[str, Any]) -> str:
    found = _REFERENCE.fullmatch(value)
    if found is None:
        return value
    here: Any = results
    for part in _PART.findall(found[1]):
        if isinstance(here, list) and part.isdecimal() and int(part) < len(here):
            here = here[int(part)]
        elif isinstance(here, dict) and part in here:
            here = here[part]
        else:
            return MISSING
    return str(here) if isinstance(here, str | int) else MISSING
