"""An HTTP answer becomes an Answer or the one right PortalError, whatever it looks like."""

# ruff: noqa: ANN401  whatever a portal may send

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.bitrix24.calls import Answer, Outcome
from worker.bitrix24.protocol import as_int, decode, encode_json, mend, read_time
from worker.bitrix24.refusals import MEANING
from worker.errors import (
    AccessDenied,
    BadAnswer,
    CallRefused,
    MethodClosed,
    MethodNotFound,
    MissingScope,
    NeedsReauth,
    PortalClosed,
    PortalError,
    RateLimited,
    TokenRejected,
    TransientError,
    Unreachable,
)


def read(body: object, status: int = 200, headers: dict[str, str] | None = None, **rest: Any) -> Outcome:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode(status, headers or {}, raw, portal="acme", method="m", **rest)


def refused(*args: Any, **rest: Any) -> PortalError:
    outcome = read(*args, **rest)
    assert isinstance(outcome, PortalError)
    return outcome


def answered(*args: Any, **rest: Any) -> Answer:
    outcome = read(*args, **rest)
    assert isinstance(outcome, Answer)
    return outcome


def test_an_answer_keeps_its_result_as_text():
    found = answered(
        {
            "result": {"tasks": [{"id": "1"}]},
            "total": "7",
            "next": 50,
            "time": {
                "date_start": "2026-11-23T12:00:00+02:00",
                "operating": 3.5,
                "operating_reset_at": 1795420600,
                "start": 1,
            },
        }
    )

    assert isinstance(found.result, msgspec.Raw)
    assert found.decode(dict) == {"tasks": [{"id": "1"}]}
    assert (found.total, found.next, found.method) == (7, 50, "m")
    assert found.time.portal_now == datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
    assert found.time.operating == 3.5
    assert found.time.operating_reset_at == datetime.fromtimestamp(1795420600, UTC)


@pytest.mark.parametrize(
    "time",
    [
        [],
        None,
        {},
        {"operating": None},
        {"date_start": "yesterday", "operating": "much", "operating_reset_at": -1},
        "x",
    ],
)
def test_the_time_block_is_optional_in_every_part(time: object):
    found = answered({"result": 1, "time": time})

    assert found.time.operating is None
    assert found.time.operating_reset_at is None
    assert found.time.portal_now is None


def test_a_time_without_offset_is_none():
    assert read_time(msgspec.Raw(b'{"date_start": "2026-11-23T12:00:00"}')).portal_now is None


@pytest.mark.parametrize("result", [None, False, 0, "", [], {}])
def test_an_empty_result_is_a_result(result: object):
    """An event that does not exist is answered with null (calendar.event.getbyid)."""
    assert msgspec.json.decode(answered({"result": result}).result) == result
    assert answered({"result": result, "error": ""}).decode(object) == result
    assert answered({"result": result, "error": None}).decode(object) == result


ERRORS = [
    ("expired_token", 401, TokenRejected),
    ("EXPIRED_TOKEN", 200, TokenRejected),
    ("invalid_token", 401, TokenRejected),
    ("NO_AUTH_FOUND", 401, CallRefused),
    ("authorization_error", 401, NeedsReauth),
    ("APPLICATION_NOT_FOUND", 401, NeedsReauth),
    ("INVALID_CREDENTIALS", 403, NeedsReauth),
    ("INVALID_CREDENTIALS", 401, NeedsReauth),
    ("CONNECTION_ERROR", 401, Unreachable),
    ("insufficient_scope", 403, MissingScope),
    ("insufficient_scope", 401, MissingScope),
    ("user_access_error", 401, AccessDenied),
    ("ACCESS_DENIED", 403, AccessDenied),
    ("WRONG_AUTH_TYPE", 403, AccessDenied),
    ("WRONG_LICENSE", 403, AccessDenied),
    ("ERROR_METHOD_NOT_FOUND", 404, MethodNotFound),
    ("QUERY_LIMIT_EXCEEDED", 503, RateLimited),
    ("OPERATION_TIME_LIMIT", 429, MethodClosed),
    ("OVERLOAD_LIMIT", 503, PortalClosed),
    ("OVERLOAD_LIMIT", 401, PortalClosed),
    ("PORTAL_DELETED", 500, PortalClosed),
    ("PORTAL_DELETED", 403, PortalClosed),
    ("PAYMENT_REQUIRED", 401, PortalClosed),
    ("ERROR_CORE", 400, TransientError),
    ("INTERNAL_SERVER_ERROR", 500, TransientError),
    ("ERROR_UNEXPECTED_ANSWER", 500, TransientError),
    ("ERROR_ARGUMENT", 400, CallRefused),
    ("", 400, CallRefused),
    ("0", 400, CallRefused),
    ("SOMETHING_NEW", 400, CallRefused),
    ("SOMETHING_NEW", 200, CallRefused),
    ("SOMETHING_NEW", 502, Unreachable),
    ("SOMETHING_NEW", 429, RateLimited),
    ("invalid_grant", 400, NeedsReauth),
    ("invalid_client", 400, CallRefused),
    ("WRONG_CLIENT", 200, CallRefused),
    ("NOT_INSTALLED", 401, NeedsReauth),
    ("invalid_scope", 400, MissingScope),
    ("invalid_request", 400, CallRefused),
]


@pytest.mark.parametrize(("code", "status", "kind"), ERRORS)
def test_each_code_has_its_meaning_under_any_status(code: str, status: int, kind: type[PortalError]):
    error = refused({"error": code, "error_description": "Some <b>text</b>."}, status)

    assert type(error) is kind
    assert (error.code, error.status, error.portal, error.method) == (code, status, "acme", "m")
    assert "<b>" not in str(error)


def test_an_error_decides_even_beside_a_result():
    assert isinstance(refused({"result": [], "error": "expired_token"}), TokenRejected)
    assert isinstance(refused({"error": ""}, 200), CallRefused)
    assert isinstance(refused({"error": "", "result": []}, 400), CallRefused)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("BITRIX_REST_V3_EXCEPTION_ACCESSDENIEDEXCEPTION", AccessDenied),
        ("BITRIX_REST_V3_EXCEPTION_INSUFFICIENTSCOPEEXCEPTION", MissingScope),
        ("BITRIX_REST_V3_EXCEPTION_INVALIDFILTEREXCEPTION", CallRefused),
    ],
)
def test_errors_of_rest_3_are_objects(code: str, kind: type[PortalError]):
    error = refused({"error": {"code": code, "message": "No."}}, 403)

    assert type(error) is kind
    assert (error.code, error.message) == (code, "No.")


def test_a_plan_without_rest_closes_the_portal():
    error = refused({"error": "ACCESS_DENIED", "error_description": "REST is available only on commercial plans"}, 403)

    assert isinstance(error, PortalClosed)


def test_a_closed_method_says_until_when():
    time = {"date_start": "2026-11-23T12:00:00+00:00", "operating_reset_at": 1795435290}
    error = refused({"error": "OPERATION_TIME_LIMIT", "time": time}, 429)

    assert isinstance(error, MethodClosed)
    assert error.reset_at == datetime.fromtimestamp(1795435290, UTC)
    assert error.retry_after == 1795435290 - datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after": "7"}, 7.0), ({"retry-after": "Wed, 21 Oct"}, None), ({"retry-after": "-1"}, None), ({}, None)],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None):
    known = refused({"error": "QUERY_LIMIT_EXCEEDED"}, 503, headers)
    unknown = refused(b"<html>", 503, headers)

    assert isinstance(known, RateLimited)
    assert isinstance(unknown, Unreachable)
    assert known.retry_after == unknown.retry_after == seconds


@pytest.mark.parametrize("status", [200, 401, 403, 404, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [b"", b"<html>blocked</html>", b'{"result": [1, 2', b"[]", b'"x"', b"\xff\xfe", b"{}"])
def test_what_is_no_answer_can_pass(status: int, body: bytes):
    error = refused(body, status)

    assert type(error) is (RateLimited if status == 429 else Unreachable if status >= 500 else BadAnswer)
    assert "html" not in str(error)


def test_depth_and_size_are_bounded(monkeypatch: pytest.MonkeyPatch):
    assert isinstance(read(b'{"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), BadAnswer)
    assert isinstance(read(b'{"error":"' + b"[" * 900 + b'"}', 400), CallRefused)
    assert isinstance(read(b'{"result":1,"error":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), BadAnswer)
    monkeypatch.setattr("worker.bitrix24.protocol.MAX_BYTES", 100)
    assert isinstance(read({"result": "x" * 200}), BadAnswer)


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (rb'{"result": "a\ud83d"}', "a\ufffd"),
        (rb'{"result": "\udc00\ud800\ud800z"}', "\ufffd\ufffd\ufffdz"),
        (rb'{"result": "\ud83d\ude00 \ud83d"}', "\U0001f600 \ufffd"),
        (rb'{"result": "\\ud800 \ud800"}', "\\ud800 \ufffd"),
        (rb'{"result": "\\\ud800\\"}', "\\\ufffd\\"),
        (b'{"result": "a\xff\xed\xa0\x80b"}', "a\ufffd\ufffd\ufffd\ufffdb"),
        (b'\xef\xbb\xbf{"result": "bom"}', "bom"),
        ('{"result": "имя"}'.encode(), "имя"),
    ],
)
def test_broken_text_costs_a_character_not_the_answer(body: bytes, result: str):
    assert answered(body).decode(str) == result


@given(st.text(max_size=30))
def test_whatever_php_may_write_is_read(text: str):
    """Python writes lone surrogates as escapes, as PHP does; everything else must come through unchanged."""
    found = answered({"result": text})

    assert found.decode(str) == "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)


@given(st.binary(max_size=40))
def test_mending_never_fails_and_changes_nothing_twice(body: bytes):
    once = mend(body)

    assert mend(once) == once.removeprefix(b"\xef\xbb\xbf")


@given(st.binary(max_size=60), st.sampled_from([200, 400, 500]))
def test_no_bytes_break_the_decoder(body: bytes, status: int):
    assert isinstance(read(body, status), Answer | PortalError)
    assert isinstance(read(b'{"error":' + body + b"}", status), Answer | PortalError)


def test_secrets_are_struck_out():
    error = refused({"error": "x-s3cret", "error_description": "no such s3cret hook"}, 400, secrets=("s3cret", ""))

    assert "s3cret" not in str(error)
    assert "s3cret" not in repr(error.__dict__)


def test_every_meaning_is_a_portal_error_in_lower_case():
    assert all(code == code.lower() and issubclass(kind, PortalError) for code, kind in MEANING.items())


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("12 ", 12),
        (12, 12),
        (" 7 ", 7),
        (7.0, 7),
        (7.5, None),
        (True, None),
        ("", None),
        ("x", None),
        (None, None),
        ("9" * 30, None),
        ("4294967297", 4294967297),
        ([], None),
        ("١٢", None),
    ],
)
def test_numbers_come_as_strings_too(value: object, number: int | None):
    assert as_int(value) == number


def test_parameters_that_cannot_be_written_are_refused():
    assert encode_json({"a": [1, None, True, "ж"]}) == '{"a":[1,null,true,"ж"]}'.encode()
    with pytest.raises(ValueError):
        encode_json({"a": "\ud800"})
    with pytest.raises(ValueError):
        encode_json({"a": object()})
