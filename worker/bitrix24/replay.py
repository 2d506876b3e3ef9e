"""Answers from a recording instead of a portal: a transport without a network, and the clock that goes with it."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from worker.bitrix24 import tape
from worker.bitrix24.tape import Asked
from worker.bitrix24.transport import Reply
from worker.errors import CallRefused, Unreachable, UsageError

_ERRORS: Final = ("error", "error_description")


class ReplayClock:
    """The time of the recording: it stands still but for pauses, which pass at once, and what the recording tells."""

    def __init__(self, now: datetime) -> None:
        self._start = self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start).total_seconds()

    def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=max(0.0, seconds))

    def reach(self, moment: datetime) -> None:
        """Not earlier than `moment` any more."""
        self._now = max(self._now, moment)


class NoAuth:
    """For calls that never leave this machine."""

    refreshes = 0

    def __init__(self) -> None:
        self.rest_url = "https://recording.invalid/rest/"

    def url(self, method: str) -> str:
        return f"{self.rest_url}{method}"

    def apply(self, body: dict[str, Any]) -> int:  # noqa: ARG002 - the protocol's
        return 0

    def renew(self, version: int) -> None:
        """A recording holds no token that could be renewed."""

    def secrets(self, body: dict[str, Any]) -> tuple[str, ...]:  # noqa: ARG002
        return ()


class Replay:
    """Finds the answer to each call by its method and parameters, whatever the batch; of several the next, in order.

    Only where each answer begins is kept in memory. A request that failed as a whole fails again, unless the recording
    has an answer from a later try.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[bytes, list[int]] = {}
        self._failed: dict[bytes, int] = {}
        self._requests: dict[int, int] = {}
        self.header = self._index()
        self.clock = ReplayClock(_moment(self.header["at"]))

    def post_json(self, url: str, body: bytes | Mapping[str, Any], *, total: float | None = None) -> Reply:  # noqa: ARG002
        """The recorded answer. Raises CallRefused for what was never asked."""
        method = tape.method_of(url)
        sent = json.loads(body) if isinstance(body, bytes) else body
        if method != "batch":
            return self._alone(tape.asked_alone(method, sent))
        results: dict[str, Any] = {}
        parts: dict[str, dict[str, Any]] = {name: {} for name in ("error", "total", "next", "time")}
        first: int | None = None
        for key, command in tape.commands(sent).items():
            one = tape.asked(key, command, results)
            line = self._answer(one)
            if "request" not in line:
                return self._failure(line)
            first = line["request"] if first is None else min(first, line["request"])
            if "answer" not in line and "error" not in line:
                continue  # the portal left it unanswered
            if "answer" not in line:
                parts["error"][key] = {name: line.get(name, "") for name in _ERRORS}
                if sent.get("halt"):
                    break
                continue
            results[key] = line["answer"]["result"]
            for name in ("total", "next", "time"):
                if name in line["answer"]:
                    parts[name][key] = line["answer"][name]
        result = {"result": results, **{f"result_{name}": values for name, values in parts.items()}}
        return _reply(200, {"result": result, "time": self._time(first or 0)})

    def _alone(self, one: Asked) -> Reply:
        line = self._answer(one)
        if "answer" in line:
            return _reply(200, {"time": self._time(line["request"]), **line["answer"]})
        return self._failure(line)

    def _answer(self, one: Asked) -> dict[str, Any]:
        """The next line of this call, or (without `request`) what became of the request that it was part of."""
        key = _key(one.method, one.params)
        places = self._places.get(key)
        if places:
            return self._line(places.pop(0) if len(places) > 1 else places[0])
        if key in self._failed:
            line = self._line(self._failed[key])
            del line["request"]
            return line
        raise CallRefused("the recording has no answer to this call: another version asks otherwise", method=one.method)

    def _failure(self, line: Mapping[str, Any]) -> Reply:
        if "failure" in line:
            raise Unreachable(f"the recorded request failed, too ({line['failure']})")
        if "error" in line:
            return _reply(line.get("status", 200), {name: line.get(name, "") for name in _ERRORS})
        return Reply(line["status"], {}, b"<html></html>")

    def _time(self, request: int) -> Any:  # noqa: ANN401 - as the portal sent it
        if request not in self._requests:
            return None
        line = self._line(self._requests[request])
        self.clock.reach(_moment(line["at"]))
        return line.get("time")

    def _line(self, place: int) -> dict[str, Any]:
        with self._path.open("rb") as file:
            file.seek(place)
            return dict(json.loads(file.readline()))

    def _index(self) -> dict[str, Any]:
        """Where what lies; the header. Raises UsageError for a file that is no recording, or a newer one."""
        header: dict[str, Any] = {}
        try:
            with self._path.open("rb") as file:
                place = file.tell()
                while (text := file.readline()).endswith(b"\n"):  # the end of a run that was killed is no line
                    line = json.loads(text)
                    if not header:
                        header = _header(line)
                    else:
                        self._place(line, place)
                    place = file.tell()
            return header or _header({})
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise UsageError(f"{self._path} is no recording of b24sync: {error}") from None

    def _place(self, line: dict[str, Any], place: int) -> None:
        """Note a line. Raises what a line raises that is not as it should be."""
        if "call" in line:
            if "answer" in line:
                line["answer"]["result"]
            self._places.setdefault(_key(line["call"], line["params"]), []).append(place)
        elif "request" in line:
            _moment(line["at"])
            self._requests[line["request"]] = place
            for method, params in line.get("calls", ()):
                if "failure" not in line:
                    line["status"] + 0
                self._failed[_key(method, params)] = place


def _header(line: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever the file begins with
    version = line.get("b24sync_recording") if isinstance(line, dict) else None
    if not isinstance(version, int):
        raise ValueError("its first line does not say so")  # noqa: TRY004 - told with all other faults of a file
    if version > tape.VERSION:
        raise ValueError(f"it has version {version}, this program reads {tape.VERSION}")
    _moment(line["at"])
    return dict(line)


def _moment(text: str) -> datetime:
    """A moment of the recording. Raises ValueError where it has no offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time without an offset: {text}")
    return moment


def _key(method: str, params: Mapping[str, str]) -> bytes:
    return msgspec.json.encode([method, params], order="deterministic")


def _reply(status: int, body: Mapping[str, Any]) -> Reply:
    return Reply(status, {}, json.dumps(body).encode())
