"""Writes down what a portal answers, without its people: a transport around another one."""

import json
from collections.abc import Mapping
from typing import Any, TextIO

from worker.bitrix24 import tape
from worker.bitrix24.masking import Masking
from worker.bitrix24.structural import FORMS
from worker.bitrix24.tape import Asked
from worker.bitrix24.transport import Reply, Sender
from worker.clock import Clock
from worker.errors import PortalError


class Recorder:
    """Sends through `sender` and writes every answer to `file`, a line each.

    Neither the address (a webhook's secret is in it) nor `auth` is ever looked at for writing.
    """

    def __init__(self, sender: Sender, file: TextIO, clock: Clock) -> None:
        self._sender = sender
        self._file = file
        self._clock = clock
        self._masking = Masking()
        self._number = 0

    def post_json(self, url: str, body: bytes | Mapping[str, Any], *, total: float | None = None) -> Reply:
        """As the sender's; raises what it raises."""
        self._number += 1
        method = tape.method_of(url)
        sent = json.loads(body) if isinstance(body, bytes) else body
        at = self._clock.now().isoformat()
        try:
            reply = self._sender.post_json(url, body, total=total)
        except PortalError as error:
            self.write({"request": self._number, "at": at, "failure": type(error).__name__, **_calls(method, sent)})
            raise
        self._note(method, sent, reply, {"request": self._number, "at": at, "status": reply.status})
        return reply

    def write(self, line: Mapping[str, Any]) -> None:
        """One line, at once: whoever cuts the run has what came before."""
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
        self._file.flush()

    def _note(self, method: str, sent: Mapping[str, Any], reply: Reply, head: dict[str, Any]) -> None:
        try:
            answer = json.loads(reply.body.decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or "result" not in answer:
            told: dict[str, Any] = {"bytes": len(reply.body)}
            if isinstance(answer, dict) and "error" in answer:
                told = self._refusal(answer["error"], answer.get("error_description"))
            self.write({**head, **told, **_calls(method, sent)})
            return
        self.write({**head, "time": self._masking.value("result", answer.get("time"))})
        if method != "batch":
            self._call(tape.asked_alone(method, sent), answer)
            return
        parts = answer["result"] if isinstance(answer["result"], dict) else {}
        maps = {name: _map(parts.get(f"result_{name}")) for name in ("error", "total", "next", "time")}
        results = _map(parts.get("result"))
        for key, command in tape.commands(sent).items():
            one = tape.asked(key, command, results)
            if key in results:
                self._call(one, {"result": results[key], **{name: maps[name].get(key) for name in maps}})
            elif key in maps["error"]:
                self._call(one, _error(maps["error"][key]))
                if sent.get("halt"):
                    break  # what comes after was not asked
            else:
                self.write({"request": self._number, "call": one.method, "params": one.params})

    def _refusal(self, error: object, text: object) -> dict[str, Any]:
        """A text in REST 1 and 2, an object in REST 3.0 (vendor: api-reference/rest-v3.md)."""
        if not isinstance(error, dict):
            return self._masking.error(error, text)
        told = self._masking.error(error.get("code"), error.get("message"))
        return {"error": {"code": told["error"], "message": told["error_description"]}}

    def _call(self, one: Asked, answer: Mapping[str, Any]) -> None:
        line: dict[str, Any] = {"request": self._number, "call": one.method, "params": one.params}
        if "result" in answer:
            rest = {name: answer[name] for name in ("total", "next", "time") if answer.get(name) is not None}
            line["answer"] = {"result": self._masking.value(_holder(one.method), answer["result"])}
            line["answer"] |= self._masking.value("result", rest)
        else:
            line |= self._masking.error(answer.get("error"), answer.get("error_description"))
        self.write(line)


def _holder(method: str) -> str:
    """The field that a method's result counts as: some answer bare values, everything else answers records."""
    return method if method in FORMS else "result"


def _map(value: object) -> dict[str, Any]:
    """A map of a batch's answer; PHP writes an empty one as `[]`."""
    return value if isinstance(value, dict) else {}


def _error(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"error": str(value)}


def _calls(method: str, sent: Mapping[str, Any]) -> dict[str, Any]:
    """The calls of a request that failed as a whole."""
    if method != "batch":
        return {"calls": [tape.asked_alone(method, sent)[1:]]}
    return {"calls": [tape.asked(key, command, {})[1:] for key, command in tape.commands(sent).items()]}
