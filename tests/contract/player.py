"""Plays answers as the vendor's pages print them, over HTTP. What is asked matters for the pages of lists only."""

import json
from collections.abc import Callable  # noqa: TC003 - not worth a block of its own
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from worker.emulator.rest import php
from worker.emulator.server.wire import LoopbackServer, Reply, Request, json_reply

Json: TypeAlias = Any

SAMPLES = Path(__file__).parents[1] / "samples"
_LISTS = {"tasks.task.list": (("tasks",), "id"), "user.get": ((), "ID")}


@cache
def printed() -> dict[str, Json]:
    """Method to answer. What lies in `printed/` is its page's sample key by key; the rest the emulator gives, too."""
    found = {}
    for path in sorted(SAMPLES.glob("*.json")) + sorted((SAMPLES / "printed").glob("*.json")):
        sample = json.loads(path.read_text())
        found[sample["method"]] = sample["answer"]
    found["scope"] = found["scope"] | {"result": ["task", "calendar", "user"]}
    return found


class Player:
    """A portal and its token server in one. `change` makes a variant of each answer; `refusal` answers everything."""

    def __init__(self) -> None:
        self.change: Callable[[str, Json], Json] = lambda _method, answer: answer
        self.refusal: tuple[int, Json] | None = None
        self.calls: set[str] = set()
        self.server = LoopbackServer(self._answer)

    def grant(self) -> Json:
        """The token server's answer, for this portal."""
        return printed()["refresh_token"] | {"client_endpoint": f"http://{self.server.host}/rest/"}

    def _answer(self, request: Request) -> Reply:
        params = request.params()
        if request.path.startswith("/oauth/token"):
            return json_reply(200, self.grant())
        if self.refusal is not None:
            return json_reply(*self.refusal)
        method = request.path.removeprefix("/rest/")
        if method != "batch":
            return json_reply(200, self._one(method, params))
        parts: dict[str, dict[str, Json]] = {name: {} for name in ("result", "error", "total", "next", "time")}
        scopes = {"result": parts["result"], "total": parts["total"], "next": parts["next"]}
        for key, command in params["cmd"].items():
            method, raw = php.split_command(command)
            answer = self._one(method, php.resolve(raw, scopes))
            for name in ("result", "total", "next", "time"):
                if name in answer:
                    parts[name][key] = answer[name]
        results = parts.pop("result")  # each is changed already
        envelope = {
            "result": {f"result_{name}": part or [] for name, part in parts.items()},
            "time": deepcopy(printed()["batch"]["time"]),
        }
        answer = self.change("batch", envelope)
        return json_reply(200, answer | {"result": {"result": results, **answer["result"]}})

    def _one(self, method: str, params: Json) -> Json:
        self.calls.add(method)
        answer = deepcopy(printed()[method])
        if method in _LISTS:
            _cut(answer, *_LISTS[method], {name.lower(): value for name, value in params.items()})
        return self.change(method, answer)


def _cut(answer: Json, path: tuple[str, ...], id_field: str, params: Json) -> None:
    """The rows of one page, and a count only where it was asked for."""
    holder = answer["result"]
    rows = holder[path[0]] if path else holder
    wanted = php.as_map(params.get("filter"))
    after = php.to_int(wanted.get(">ID"))
    rows = [row for row in rows if int(row[id_field]) > after and wanted.get("ID", row[id_field]) == row[id_field]]
    if php.to_int(params.get("start")) < 0:
        answer.pop("total")
    if path:
        holder[path[0]] = rows
    else:
        answer["result"] = rows
