"""A portal that answers from memory, in a process of its own: the other end of every measure here.

The emulator is true and slow; this one is quick and knows only what a listing needs. Rows are made while they are
sent, so that a million of them need no memory. `python portal.py '{"tasks": 100000}'` prints how to reach it as a line
of JSON, answers until its input ends, and then prints what it was asked.
"""

import asyncio
import gzip
import json
import ssl
import sys
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

PAGE = 50
SECRET = "bench"
REFUSED = json.dumps({"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}).encode()

_PERSON = (
    b'{"id":"%d","name":"Anna Kuznetsova","link":"/company/personal/user/%d/",'
    b'"icon":"/bitrix/images/tasks/default_avatar.png","workPosition":"CEO"}'
)
_ROW = (
    b'{"id":"%d","parentId":null,"title":"Agree on release %d","description":"%b","mark":null,"priority":"1",'
    b'"stageId":"0","createdBy":"%d","createdDate":"2026-%02d-%02dT01:21:41+01:00","responsibleId":"%d",'
    b'"changedBy":"1","changedDate":"2026-08-%02dT13:16:01+01:00","closedBy":"1",'
    b'"closedDate":"2026-08-12T13:16:01+01:00","activityDate":"2026-08-%02dT19:19:40+01:00",'
    b'"dateStart":"2026-03-27T02:21:41+01:00","deadline":"2027-02-%02dT04:46:00+01:00","startDatePlan":null,'
    b'"endDatePlan":null,"timeEstimate":"3600","timeSpentInLogs":null,"flowId":null,"status":"%d","groupId":"0",'
    b'"auditors":["2","3"],"accomplices":["%d"],"descriptionInBbcode":"Y","ufCrmTask":false,'
    b'"ufTaskWebdavFiles":false,"ufMailMessage":null,"group":[],"creator":%b,"responsible":%b,"accomplicesData":[],'
    b'"auditorsData":[],"tags":{"7":{"id":7,"title":"release"}},"subStatus":"%d"}'
)
_TEXTS = [b"Look through the list of changes and tell those who wait for them. " * n for n in range(6)]
_PEOPLE = [_PERSON % (n, n) for n in range(64)]


@dataclass
class Spec:
    """What the portal is like.

    Args:
        tasks: How many; their IDs have gaps, and jump beyond 2^31 after nine tenths of them.
        page_ms: What a page costs, one after another inside a batch.
        count_ms: What a count costs on top.
        bucket: How many requests the leaky bucket holds, 0 for no limit.
        per_second: How fast it empties.
        others_per_second: What others at this address put into the bucket.
        tls: Folder of `cert.pem` and `key.pem`; empty for plain http.
    """

    tasks: int = 1000
    page_ms: float = 0.0
    count_ms: float = 0.0
    bucket: float = 0.0
    per_second: float = 2.0
    others_per_second: float = 0.0
    tls: str = ""


@dataclass
class Asked:
    """What was asked of the portal."""

    requests: int = 0
    batches: int = 0
    calls: int = 0
    pages: int = 0
    counts: int = 0
    refused: int = 0
    connections: int = 0
    most_at_once: int = 0


@dataclass
class Portal:
    spec: Spec
    ids: list[int]
    asked: Asked = field(default_factory=Asked)
    level: float = 0.0
    level_at: float = field(default_factory=time.monotonic)
    at_once: int = 0

    def admit(self) -> bool:
        """The leaky bucket; a refused request does not fill it (vendor: limits.md)."""
        if not self.spec.bucket:
            return True
        now = time.monotonic()
        passed, self.level_at = now - self.level_at, now
        drained = passed * (self.spec.per_second - self.spec.others_per_second)
        self.level = min(self.spec.bucket, max(0.0, self.level - drained))
        if self.level + 1 > self.spec.bucket:
            return False
        self.level += 1
        return True

    def call(self, method: str, params: dict[str, str], lasts: dict[str, int], key: str) -> tuple[bytes, int | None]:
        """The result of one call and its count; `lasts` learns the last ID of a full page."""
        self.asked.calls += 1
        if method == "tasks.task.list":
            return self._tasks(params, lasts, key)
        return _FIXED.get(method, b"[]"), 0 if method == "user.get" and params.get("start") != "-1" else None

    def _tasks(self, params: dict[str, str], lasts: dict[str, int], key: str) -> tuple[bytes, int | None]:
        self.asked.pages += 1
        ids = self._since(params)
        low, high = self._range(ids, params, lasts)
        start = int(params.get("start") or 0)
        counted = start >= 0
        self.asked.counts += counted
        first = low + max(0, start)
        if any(name.startswith("order") and value.lower() == "desc" for name, value in params.items()):
            page = ids[max(low, high - PAGE) : high][::-1]
        else:
            page = ids[first : min(high, first + PAGE)]
        if len(page) == PAGE:
            lasts[key] = page[-1]
        only_id = [value for name, value in params.items() if name.startswith("select")] == ["ID"]
        rows = b",".join(b'{"id":"%d"}' % i for i in page) if only_id else b",".join(map(task_row, page))
        return b'{"tasks":[' + rows + b"]}", high - low if counted else None

    def _since(self, params: dict[str, str]) -> list[int]:
        """The IDs that a filter of dates leaves."""
        left = self.ids
        for name, value in params.items():
            if dates := _DATES.get(name.lower()):
                since = datetime.fromisoformat(value)
                days = {day for day in range(1, 29) if dates(day) >= since}
                left = [i for i in left if _day(i) in days] if days else []
        return left

    def _range(self, ids: list[int], params: dict[str, str], lasts: dict[str, int]) -> tuple[int, int]:
        """Which part of them the filter of IDs leaves."""
        low, high = 0, len(ids)
        for name, value in params.items():
            if not name.lower().startswith("filter["):
                continue
            condition = name[7:-1]
            if name.lower() in _DATES:
                continue
            # A reference to a missing row: the condition is gone.
            bound = lasts.get(value[8:].partition("]")[0]) if value.startswith("$result[") else int(value)
            if bound is None:
                continue
            if condition == ">ID":
                low = max(low, bisect_right(ids, bound))
            elif condition == ">=ID":
                low = max(low, bisect_left(ids, bound))
            elif condition == "<=ID":
                high = min(high, bisect_right(ids, bound))
            elif condition == "<ID":
                high = min(high, bisect_left(ids, bound))
        return low, max(low, high)

    async def batch(self, commands: dict[str, str]) -> bytes:
        self.asked.batches += 1
        results, totals = [], []
        lasts: dict[str, int] = {}
        before = self.asked.pages, self.asked.counts
        for key, command in commands.items():
            method, _, query = command.partition("?")
            result, total = self.call(method.lower(), dict(parse_qsl(query)), lasts, key)
            results.append(b'"%b":%b' % (key.encode(), result))
            if total is not None:
                totals.append(b'"%b":%d' % (key.encode(), total))
        await self._work(self.asked.pages - before[0], self.asked.counts - before[1])
        time_block = _time()
        times = b",".join(b'"%b":%b' % (key.encode(), time_block) for key in commands)
        parts = (b",".join(results), b",".join(totals), times)
        return b'{"result":{%b},"result_error":[],"result_total":{%b},"result_next":[],"result_time":{%b}}' % parts

    async def single(self, method: str, params: dict[str, Any]) -> tuple[bytes, int | None]:
        before = self.asked.pages, self.asked.counts
        answer = self.call(method, dict(_flat("", params)), {}, "")
        await self._work(self.asked.pages - before[0], self.asked.counts - before[1])
        return answer

    async def _work(self, pages: int, counts: int) -> None:
        seconds = (pages * self.spec.page_ms + counts * self.spec.count_ms) / 1000
        if seconds:
            await asyncio.sleep(seconds)


def _day(task_id: int) -> int:
    return task_id % 28 + 1


# What the digits of a row's dates mean: all of a day of the month.
_BERLIN = ZoneInfo("Europe/Berlin")
_DATES: dict[str, Callable[[int], datetime]] = {
    "filter[>=created_date]": lambda day: datetime(2026, day % 12 + 1, day, 1, 21, 41, tzinfo=_BERLIN),
    "filter[>=changed_date]": lambda day: datetime(2026, 8, day, 13, 16, 1, tzinfo=_BERLIN),
    "filter[>=activity_date]": lambda day: datetime(2026, 8, day, 19, 19, 40, tzinfo=_BERLIN),
}


def task_row(task_id: int) -> bytes:
    """One row as the list method sends it."""
    day = _day(task_id)
    creator, responsible = task_id % 63 + 1, task_id * 7 % 63 + 1
    status = task_id % 4 + 2
    text = _TEXTS[task_id % 6]
    values = (task_id, task_id, text, creator, day % 12 + 1, day, responsible, day, day, day, status, responsible)
    return _ROW % (*values, _PEOPLE[creator], _PEOPLE[responsible], status)


def _flat(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    """Parameters of a JSON body under the names that a query would give them."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(f"{prefix}[{name}]" if prefix else str(name), item)
    elif isinstance(value, list):
        yield from _flat(prefix, dict(enumerate(value)))
    else:
        yield prefix, str(value)


_FIXED = {
    "profile": b'{"ID":"1","ADMIN":true,"NAME":"Anna","LAST_NAME":"Kuznetsova","TIME_ZONE":"Europe/Berlin"}',
    "scope": b'["task","calendar","user"]',
}


def _time() -> bytes:
    now = time.time()
    stamp = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    block = {
        "start": int(now),
        "finish": now,
        "duration": 0.1,
        "processing": 0,
        "date_start": stamp,
        "date_finish": stamp,
        "operating_reset_at": int(now) + 600,
        "operating": 0,
    }
    return json.dumps(block).encode()


async def answer(portal: Portal, path: str, body: bytes) -> tuple[int, bytes]:
    """One request: /rest/<user>/<secret>/<method>, with .json or without; /asked tells what was asked so far."""
    if path == "/asked":
        return 200, json.dumps(asdict(portal.asked)).encode()
    portal.asked.requests += 1
    if not portal.admit():
        portal.asked.refused += 1
        return 503, REFUSED
    method = path.rstrip("/").rpartition("/")[2].removesuffix(".json").lower()
    params = json.loads(body or b"{}")
    if method == "batch":
        result, total = await portal.batch(params["cmd"]), None
    else:
        result, total = await portal.single(method, params)
    count = b"" if total is None else b'"total":%d,' % total
    return 200, b'{"result":' + result + b"," + count + b'"time":' + _time() + b"}"


def connection(portal: Portal) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        portal.asked.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                portal.at_once += 1
                portal.asked.most_at_once = max(portal.asked.most_at_once, portal.at_once)
                status, reply = await answer(portal, first.split(" ")[1].partition("?")[0], body)
                portal.at_once -= 1
                writer.write(_packed(status, reply))
                await writer.drain()
        writer.close()

    return serve


def _packed(status: int, reply: bytes) -> bytes:
    reply = gzip.compress(reply, 1)
    head = (
        f"HTTP/1.1 {status} {'OK' if status == 200 else 'Service Unavailable'}\r\n"
        "Content-Type: application/json; charset=utf-8\r\nContent-Encoding: gzip\r\n"
        f"Content-Length: {len(reply)}\r\nConnection: keep-alive\r\n\r\n"
    )
    return head.encode() + reply


def task_ids(tasks: int) -> list[int]:
    """Rising, with gaps; the last tenth beyond 2^31."""
    ids = [n * 3 // 2 + 1 for n in range(tasks)]
    jump = tasks - tasks // 10
    return ids[:jump] + [i + 2**32 for i in ids[jump:]]


async def main(spec: Spec) -> None:
    portal = Portal(spec, task_ids(spec.tasks))
    context = None
    if spec.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{spec.tls}/cert.pem", f"{spec.tls}/key.pem")
    server = await asyncio.start_server(connection(portal), "127.0.0.1", 0, ssl=context, limit=2**20)
    port = server.sockets[0].getsockname()[1]
    where = {"webhook": f"{'https' if spec.tls else 'http'}://127.0.0.1:{port}/rest/1/{SECRET}/", "port": port}
    print(json.dumps(where), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(json.dumps(asdict(portal.asked)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Spec(**json.loads(sys.argv[1]))))
