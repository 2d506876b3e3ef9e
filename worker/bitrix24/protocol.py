"""The portal's protocol as pure functions: parameters in, bytes out; bytes in, an Answer or a PortalError out.

Which error means what stands in `refusals.py`. Here is how an answer is read, whatever it turns out to be: JSON, HTML
of a gateway, nothing at all. The `error` key decides first and the HTTP status only afterwards, because the vendor's
pages and servers disagree on statuses (vendor: _includes/system-errors.md) and a token server answers some errors
with 200.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from worker.bitrix24.calls import Answer, Outcome, Time
from worker.bitrix24.refusals import refusal
from worker.errors import BadAnswer, PortalError, RateLimited, Unreachable

MAX_BYTES = 64 * 1024 * 1024  # 50 pages of 50 fat tasks are below 20 MiB; more is not an answer but an accident

NOTHING = msgspec.Raw(b"")
_NULLS = (b"", b"null", b"false")
_EMPTY = (b'""', b"[]", b"{}")
_BOM = b"\xef\xbb\xbf"  # self-hosted portals whose PHP files were saved by the wrong editor

# Every escape of a JSON text, one after another, so that `\\ud800` (a backslash and a word) is never taken for one.
_ESCAPE = re.compile(
    rb"\\(?:(?P<pair>u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


class Envelope(msgspec.Struct, frozen=True):
    """What surrounds a result. Everything stays JSON text until it is known what it should be."""

    result: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING
    error_description: msgspec.Raw = NOTHING
    total: msgspec.Raw = NOTHING
    next: msgspec.Raw = NOTHING
    time: msgspec.Raw = NOTHING


class _TimeBlock(msgspec.Struct, frozen=True):
    date_start: msgspec.Raw = NOTHING
    operating: msgspec.Raw = NOTHING
    operating_reset_at: msgspec.Raw = NOTHING


_ENVELOPE = msgspec.json.Decoder(Envelope)
_TIME = msgspec.json.Decoder(_TimeBlock)


def encode_json(params: Mapping[str, Any]) -> bytes:
    """The JSON body of one call. A body the portal cannot parse would silently count as empty, so it must be right."""
    try:
        return msgspec.json.encode(params)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"parameters that cannot be written as JSON: {error}") from None


def decode(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    portal: str = "",
    method: str = "",
    secrets: tuple[str, ...] = (),
) -> Outcome:
    """Read one HTTP answer.

    Args:
        status: The HTTP status; redirects do not come here.
        headers: Names in lower case.
        body: As received, decompressed.
        portal: The domain, for the error.
        method: The method that was called.
        secrets: Texts to be struck out of whatever the portal says about an error.
    """
    retry_after = read_retry_after(headers)
    try:
        envelope, body = _open(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return _not_json(status, retry_after, portal=portal, method=method)
    time = read_time(envelope.time)
    if is_error(envelope, status):
        code, text = read_error(envelope.error, envelope.error_description)
        for secret in filter(None, secrets):
            code, text = code.replace(secret, "***"), text.replace(secret, "***")
        return refusal(code, text, status=status, portal=portal, method=method, retry_after=retry_after, time=time)
    if absent(envelope.result):
        if status >= 500 or status == 429:  # noqa: PLR2004 - HTTP's own numbers
            return _not_json(status, retry_after, portal=portal, method=method)
        return BadAnswer("the answer holds neither a result nor an error", portal=portal, method=method, status=status)
    return Answer(
        method=method,
        result=envelope.result,
        total=read_int(envelope.total),
        next=read_int(envelope.next),
        time=time,
        raw_time=envelope.time,
    )


def is_error(envelope: Envelope, status: int) -> bool:
    """Whether the answer is a refusal.

    An error's code may be an empty string (calendar methods) or "0" (task list), so the key alone decides, except
    that an empty one beside a result under a good status says nothing.
    """
    if blank(envelope.error):
        return False
    return bytes(envelope.error) not in _EMPTY or absent(envelope.result) or status >= 400  # noqa: PLR2004


def absent(raw: msgspec.Raw) -> bool:
    """Whether a part is not there at all; a result may well be `null` (an event that does not exist)."""
    return memoryview(raw).nbytes == 0


def blank(raw: msgspec.Raw) -> bool:
    """Whether a part is absent or says nothing. Looks at its length first: a result may be megabytes."""
    return memoryview(raw).nbytes <= 5 and bytes(raw) in _NULLS  # noqa: PLR2004


def read_error(error: msgspec.Raw, description: msgspec.Raw) -> tuple[str, str]:
    """Code and text of an error: a string in REST 1 and 2, an object in REST 3.0 (vendor: api-reference/rest-v3.md)."""
    value = _loose(error)
    text = _loose(description)
    if isinstance(value, dict):
        text = value.get("message", value.get("error_description", text))
        value = value.get("code", value.get("error", ""))
    return _text(value), _text(text)


def read_time(raw: msgspec.Raw) -> Time:
    """The time block, as much of it as is there and makes sense; its counters are optional everywhere."""
    try:
        block = _TIME.decode(raw)
    except msgspec.MsgspecError:
        return Time()
    return Time(
        portal_now=_datetime(_loose(block.date_start)),
        operating=_float(_loose(block.operating)),
        operating_reset_at=_timestamp(_loose(block.operating_reset_at)),
    )


def read_int(raw: msgspec.Raw) -> int | None:
    """A whole number that may come as a string; None for anything else."""
    return as_int(_loose(raw))


def as_int(value: object) -> int | None:
    """The whole number in `value`, an int or a string of digits; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) <= 20 and re.fullmatch(r"\s*-?[0-9]+\s*", value):  # noqa: PLR2004
        return int(value)
    return None


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from `Retry-After`; its date form is not used by the vendor and would need a clock."""
    seconds = _float(headers.get("retry-after"))
    return seconds if seconds is not None and seconds >= 0 else None


def mend(body: bytes) -> bytes:
    r"""Make a JSON text decodable: lone surrogate escapes and bytes that are not UTF-8 become U+FFFD.

    One emoji cut in half by the portal (`\ud83d` without its second half) would otherwise cost the whole answer of up
    to 2,500 records.
    """
    body = body.removeprefix(_BOM)
    if not body.isascii():
        body = body.decode("utf-8", "replace").encode()
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["lone"] else found[0], body)


def _open(body: bytes) -> tuple[Envelope, bytes]:
    if len(body) > MAX_BYTES:
        raise msgspec.DecodeError("too large")
    try:
        # msgspec skips over what it leaves as Raw without looking at its UTF-8: it would fail later, in the rows.
        if not body.isascii():
            body.decode()
        return _ENVELOPE.decode(body), body
    except (msgspec.DecodeError, UnicodeDecodeError):
        mended = mend(body)
        return _ENVELOPE.decode(mended), mended


def _not_json(status: int, retry_after: float | None, *, portal: str, method: str) -> PortalError:
    error: PortalError
    if status == 429:  # noqa: PLR2004
        error = RateLimited("too many requests, says the front end", portal=portal, method=method, status=status)
    elif status >= 500:  # noqa: PLR2004
        error = Unreachable(f"a gateway's error page (HTTP {status})", portal=portal, method=method, status=status)
    else:
        text = f"the answer is no JSON (HTTP {status}): a blocked or moved portal, or not a portal at all"
        error = BadAnswer(text, portal=portal, method=method, status=status)
    error.retry_after = retry_after
    return error


def _loose(raw: msgspec.Raw) -> Any:  # noqa: ANN401 - whatever the portal sent
    if blank(raw):
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _text(value: object) -> str:
    """One line for a person: the portal puts markup into its descriptions."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    text = " ".join(re.sub(r"<[^>]{0,100}>", " ", text[:2000]).split())
    return text[:300]


def _float(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if -1e15 < number < 1e15 else None  # noqa: PLR2004 - no infinity, no NaN


def _timestamp(value: object) -> datetime | None:
    seconds = _float(value)
    if seconds is None or not 0 < seconds < 32_503_680_000:  # noqa: PLR2004 - the year 3000
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _datetime(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
