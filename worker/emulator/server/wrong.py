"""Answers to a whole request that is to go wrong."""

from worker.emulator.faults import Fault
from worker.emulator.rest.errors import RestError
from worker.emulator.server.wire import Reply, html_reply, json_reply, redirect

_ERRORS = {
    "rate_limit": ("QUERY_LIMIT_EXCEEDED", "Too many requests"),
    "internal_error": ("INTERNAL_SERVER_ERROR", "Internal server error"),
    "expired_token": ("expired_token", "The access token provided has expired."),
    "invalid_token": ("invalid_token", "Unable to get application by token"),
    "overload": ("OVERLOAD_LIMIT", "REST API is blocked due to overload."),
    "portal_deleted": ("PORTAL_DELETED", "Portal was deleted"),
}


def spoiled_reply(fault: Fault, table: str, address: str) -> Reply:
    """The reply that a fault of the request's kind gives."""
    options = fault.options
    if fault.kind in _ERRORS:
        error = RestError(*_ERRORS[fault.kind])
        return json_reply(int(options.get("status", error.http_status(table))), error.body())
    if fault.kind == "html":
        return html_reply(int(options.get("status", 502)), "<html><body><h1>502 Bad Gateway</h1></body></html>")
    if fault.kind == "redirect":
        return redirect(str(options.get("location", address)))
    if fault.kind == "reset":
        return Reply(0, b"", reset=True)
    if fault.kind == "empty":
        return Reply(int(options.get("status", 200)), b"")
    if fault.kind == "cut":
        return Reply(200, b'{"result":{"tasks":[{"id":"1","title":"cut off', cut=True)
    if fault.kind == "broken_json":
        return Reply(200, b'{"result":[{"ID":"1",}]')
    return json_reply(200, options.get("body", ["no", "envelope"]))
