"""batch: up to 50 calls in one request (settings/how-to-call-rest-api/batch.md)."""

from datetime import datetime

from worker.emulator.rest import php
from worker.emulator.rest.call import Call, Caller, Site
from worker.emulator.rest.errors import RestError, argument
from worker.emulator.rest.php import Json, Map
from worker.emulator.rest.run import run

LENGTH = 50


def commands(params: Map) -> list[tuple[str, str]]:
    """Key and command; what is no text is skipped silently."""
    cmd = php.as_map(params.get("cmd"))
    return [(key, command) for key, command in cmd.items() if isinstance(command, str)]


def _resolved(params: Map, scopes: Map, how: str) -> Map:
    if how == "literal":
        return params
    try:
        return php.as_map(php.resolve(params, scopes, strict=how == "strict"))
    except KeyError as missing:
        raise argument(str(missing.args[0])) from None


def run_batch(portal: Site, params: Map, caller: Caller, now: datetime) -> Json:
    halt = php.truthy(params.get("halt"))
    results: Map = {}
    errors: Map = {}
    totals: Map = {}
    nexts: Map = {}
    times: Map = {}
    scopes = {"result": results, "next": nexts, "total": totals}
    for number, (key, command) in enumerate(commands(params)):
        if number >= LENGTH:
            errors[key] = RestError("ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded!").body()
            continue
        method, raw = php.split_command(command)
        method = method.lower()
        if portal.faults.take({"sub_missing"}, {method}):
            continue
        call = Call(portal, method, raw, caller, now, in_batch=True)
        try:
            call.params = _resolved(raw, scopes, portal.spec.references)
            results[key] = run(call)
        except RestError as error:
            errors[key] = error.body()
            errors[key].pop("time", None)
            if "time" in error.extra:
                times[key] = error.extra["time"]
            if halt:
                break
            continue
        times[key] = call.time
        if call.total is not None:
            totals[key] = call.total
        if call.next is not None:
            nexts[key] = call.next
    return {
        "result": php.array(results),
        "result_error": php.array(errors),
        "result_total": php.array(totals),
        "result_next": php.array(nexts),
        "result_time": php.array(times),
    }
