"""Many calls in one request: pack them, and tell what became of each. Pure.

Vendor: settings/how-to-call-rest-api/batch.md. What no page says, and the vendor's PHP does: a command that is no
string is skipped without a word; `halt` is judged by PHP's truth, so "false" is true; every empty map of the answer
arrives as `[]`; numeric keys would make lists of maps as long as nothing fails.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from worker.bitrix24.calls import Answer, Call, Outcome, Ref
from worker.bitrix24.protocol import NOTHING, blank, read_error, read_int, read_time
from worker.bitrix24.query import encode_query
from worker.bitrix24.refusals import refusal
from worker.errors import BadAnswer

MAX_CALLS = 50  # the 51st gets ERROR_BATCH_LENGTH_EXCEEDED
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


class _Result(msgspec.Struct, frozen=True):
    # Megabytes: taken apart here, in the same look. PHP writes an empty map as `[]`.
    result: dict[str, msgspec.Raw] | list[msgspec.Raw] | bool | None = None
    result_error: msgspec.Raw = NOTHING
    result_total: msgspec.Raw = NOTHING
    result_next: msgspec.Raw = NOTHING
    result_time: msgspec.Raw = NOTHING


class _Error(msgspec.Struct, frozen=True):
    error: msgspec.Raw = NOTHING
    error_description: msgspec.Raw = NOTHING


def pack(calls: Sequence[Call], *, halt: bool) -> dict[str, Any]:
    """The parameters of `batch`. Raises ValueError for what the portal would skip or misread."""
    if not 0 < len(calls) <= MAX_CALLS:
        raise ValueError(f"a batch holds 1 to {MAX_CALLS} calls, not {len(calls)}")
    commands: dict[str, str] = {}
    for call in calls:
        if not _KEY.fullmatch(call.key) or call.key in commands:
            raise ValueError(f"the key {call.key!r} is taken, or no name that starts with a letter")
        if call.method.lower() == "batch" or not re.fullmatch(r"[A-Za-z0-9_.]+", call.method):
            raise ValueError(f"{call.method!r} cannot be called inside a batch")
        commands[call.key] = f"{call.method}?{encode_query(call.params)}"
    return {"halt": int(halt), "cmd": commands}


def unpack(answer: Answer, calls: Sequence[Call], *, portal: str = "") -> dict[str, Outcome]:
    """What became of each call. A call that the portal left out of both maps is left out here too.

    Raises BadAnswer when the answer is not a batch's.
    """
    parts = answer.decode(_Result)
    if not isinstance(parts.result, dict | list):
        raise BadAnswer("the answer is not a batch's", portal=portal, method=answer.method)
    results = parts.result if isinstance(parts.result, dict) else {} if not parts.result else _wrong()
    errors = _map(parts.result_error)
    totals, nexts, times = _map(parts.result_total), _map(parts.result_next), _map(parts.result_time)
    outcomes: dict[str, Outcome] = {}
    for call in calls:
        time = read_time(times.get(call.key, NOTHING))
        if call.key in errors:
            code, text = _error(errors[call.key])
            outcomes[call.key] = refusal(code, text, status=None, portal=portal, method=call.method, time=time)
        elif call.key in results:
            outcomes[call.key] = Answer(
                method=call.method,
                result=results[call.key],
                total=read_int(totals.get(call.key, NOTHING)),
                next=read_int(nexts.get(call.key, NOTHING)),
                time=time,
            )
    return outcomes


def references(params: object) -> set[str]:
    """The keys of the calls whose results `params` refer to."""
    if isinstance(params, Ref):
        return {params.key}
    if isinstance(params, Mapping):
        return set().union(*map(references, params.values()))
    if isinstance(params, list | tuple):
        return set().union(*map(references, params))
    return set()


def dependents(calls: Sequence[Call], keys: Iterable[str]) -> set[str]:
    """`keys`, and the keys of all calls that refer to them, directly or not."""
    found = set(keys)
    for call in calls:  # a call refers to earlier ones only
        if references(call.params) & found:
            found.add(call.key)
    return found


def related(calls: Sequence[Call], keys: Iterable[str]) -> set[str]:
    """`keys`, whatever refers to them, and whatever all of these refer to: what must be repeated together."""
    found = dependents(calls, keys)
    for call in reversed(calls):
        if call.key in found:
            found |= references(call.params)
    return found


def _map(raw: msgspec.Raw) -> Mapping[str, msgspec.Raw]:
    """A map of the answer; PHP writes an empty one as `[]`."""
    if blank(raw):
        return {}
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        return {} if _empty_list(raw) else _wrong()


def _empty_list(raw: msgspec.Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b"[" and not msgspec.json.decode(raw, type=list[msgspec.Raw])


def _wrong() -> Mapping[str, msgspec.Raw]:
    raise BadAnswer("a batch's answer has a list where a map belongs", method="batch")


def _error(raw: msgspec.Raw) -> tuple[str, str]:
    """Code and text. The vendor's pages show an object; a bare string is read too."""
    try:
        parts = msgspec.json.decode(raw, type=_Error)
    except msgspec.ValidationError:
        return read_error(raw, NOTHING)
    return read_error(parts.error, parts.error_description)
