"""One REST call: with whose rights, what it costs, what may befall it, and the `time` that comes with it."""

import time
from datetime import timedelta

from worker.emulator.faults import CALL_KINDS, PAGE_KINDS
from worker.emulator.rest.call import Call
from worker.emulator.rest.dates import iso
from worker.emulator.rest.errors import RestError
from worker.emulator.rest.methods import Method, method_named
from worker.emulator.rest.misread import misread
from worker.emulator.rest.php import Json, Map
from worker.emulator.rest.spoil import spoil


def run(call: Call) -> Json:
    """Run one call and fill in its `time`; scope and operating time are checked here, inside a batch too."""
    method = method_named(call.method)
    portal = call.portal
    began = time.perf_counter()
    _check_rights(call, method)
    fault = portal.faults.take(_fitting(call, method), {call.method})
    billed_to = "batch" if portal.spec.billing == "batch" else call.method
    if fault and fault.kind == "sub_error":
        raise RestError(str(fault.options.get("code", "INTERNAL_SERVER_ERROR")), "Internal server error")
    if fault and fault.kind == "operation_time_limit":
        raise _too_long(call, int(call.now.timestamp() + float(fault.options.get("seconds", 60))))
    if portal.spec.operating and portal.operating.closed(call.caller.client, billed_to, call.now):
        raise _too_long(call, portal.operating.reset_at(call.caller.client, billed_to, call.now))
    if method.rows:
        call.params = misread(call.params, portal.spec)
    result = method.run(call)
    if not portal.spec.counts:
        call.total = call.next = None
    if fault:
        result = spoil(result, fault, portal.spoiled)
    took = time.perf_counter() - began
    if portal.spec.operating:
        cost = took if portal.spec.operating_seconds is None else portal.spec.operating_seconds
        portal.operating.bill(call.caller.client, billed_to, cost, call.now)
    call.time = time_block(call, took, billed_to)
    return result


def _fitting(call: Call, method: Method) -> frozenset[str]:
    """The kinds of faults that can meet this call."""
    kinds = CALL_KINDS - {"sub_missing"} if call.in_batch else CALL_KINDS - {"sub_missing", "sub_error"}
    return kinds if method.rows else kinds - PAGE_KINDS


def _check_rights(call: Call, method: Method) -> None:
    if method.application and not call.portal.spec.offline_events:
        raise RestError("ERROR_METHOD_NOT_FOUND", "Method not found!")
    if method.application and call.caller.webhook:
        raise RestError("WRONG_AUTH_TYPE", "Current authorization type is denied for this method")
    if method.scopes and not method.scopes & call.scopes:
        raise RestError(
            "insufficient_scope", "The request requires higher privileges than provided by the access token"
        )


def _too_long(call: Call, reset_at: int) -> RestError:
    text = "Method is blocked due to operation time limit."
    return RestError("OPERATION_TIME_LIMIT", text, time=time_block(call, 0.0, call.method, reset_at=reset_at))


def time_block(call: Call, took: float, billed_to: str, *, reset_at: int | None = None) -> Map:
    """`start` is cut to whole seconds and `processing` with it (tasks-task-list.md, the sample)."""
    portal, now = call.portal, call.now
    finish = now + timedelta(seconds=took)
    block: Map = {
        "start": int(now.timestamp()),
        "finish": finish.timestamp(),
        "duration": finish.timestamp() - int(now.timestamp()),
        "processing": int(took),
        "date_start": iso(now, portal.spec.server_zone),
        "date_finish": iso(finish, portal.spec.server_zone),
    }
    if portal.spec.operating:
        client = call.caller.client
        block["operating_reset_at"] = reset_at or portal.operating.reset_at(client, billed_to, now)
        block["operating"] = portal.operating.spent(client, billed_to, now)
    return block
