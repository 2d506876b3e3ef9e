"""One page of a list method: its rows, each with its ID read and the rest left as the portal sent it. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec

from worker.bitrix24.calls import Answer, Ref
from worker.bitrix24.protocol import as_int
from worker.errors import BadAnswer

_OURS = {"filter", "order", "sort", "start", "select"}
_LARGEST = 2**63 - 1


class Record(NamedTuple):
    """One payload. `raw` looks into the whole answer's buffer: `raw.copy()` what is kept for long."""

    id: int
    raw: msgspec.Raw


@dataclass(frozen=True, slots=True)
class ListMethod:
    """A list method and how it is asked page by page.

    Args:
        method: Its name.
        params: The fixed parts: `select`, a fixed part of the filter, anything else it wants.
        id_param: The ID's name in filter, order and select ("ID").
        id_field: The ID's name in the answer ("id" for tasks; vendor's other methods answer "ID").
        items: Where the list lies in the result: ("tasks",), or () when the result is the list.
        page_size: Rows of a full page (vendor: settings/how-to-call-rest-api/list-methods-pecularities.md).
        order_style: "map" for `order[ID]=asc`; "pair" for user.get's two strings `sort` and `order`.
        filter_param: The filter's own name; user.get's page spells it FILTER and any case works.
    """

    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    id_param: str = "ID"
    id_field: str = "id"
    items: tuple[str, ...] = ()
    page_size: int = 50
    order_style: Literal["map", "pair"] = "map"
    filter_param: str = "filter"

    def __post_init__(self) -> None:
        # `FILTER` beside `filter`: the portal keeps one of them and drops the other's conditions (b24jssdk#483).
        for name in self.params:
            if name.lower() in _OURS and name not in {"select", self.filter_param}:
                raise ValueError(f"{self.method}: {name} is set by the listing")

    def page(
        self, *, conditions: Mapping[str, Any], start: int, descending: bool = False, only_id: bool = False
    ) -> dict[str, Any]:
        """The parameters of one page. `start=-1` counts nothing (vendor: settings/performance/huge-data.md)."""
        params = dict(self.params)
        params[self.filter_param] = {**params.get(self.filter_param, {}), **conditions}
        way = "desc" if descending else "asc"
        if self.order_style == "pair":
            params.update(sort=self.id_param, order=way.upper())
        else:
            params["order"] = {self.id_param: way}
        if only_id:
            params["select"] = [self.id_param]
        params["start"] = start
        return params

    def last_row(self, key: str) -> Ref:
        """The ID of the last row of the full page that the call `key` brings."""
        return Ref(key, (*self.items, self.page_size - 1, self.id_field))


class Page(NamedTuple):
    """One page as it came.

    Args:
        records: The rows with a readable ID, in the portal's order.
        unreadable: The others.
        size: All of them.
        chained: Whether the last row's ID could be read, so that a reference to it meant something.
    """

    records: list[Record]
    unreadable: list[msgspec.Raw]
    size: int
    chained: bool


class Span(NamedTuple):
    """A stretch of a list that is proven to hold these IDs and no others.

    Args:
        after: The ID it begins behind.
        through: The ID it ends with; None: the end of the list.
        ids: Those in it.
    """

    after: int
    through: int | None
    ids: Sequence[int]


def read_page(answer: Answer, spec: ListMethod) -> Page:
    """The rows of an answer. Raises BadAnswer when there is no list where one belongs."""
    read_id = _id_reader(spec.id_field)
    records: list[Record] = []
    unreadable: list[msgspec.Raw] = []
    found: int | None = None
    rows = _rows(answer, spec.items)
    for raw in rows:
        found = read_id(raw)
        if found is None:
            unreadable.append(raw)
        else:
            records.append(Record(found, raw))
    return Page(records, unreadable, len(rows), found is not None)


def _rows(answer: Answer, path: tuple[str, ...]) -> list[msgspec.Raw]:
    if len(path) == 1:
        try:
            return list(_wrapped(path[0]).decode(answer.result).rows)
        except msgspec.MsgspecError:
            pass  # whatever it is instead, the slow way knows or says it
    raw = answer.result
    try:
        for part in path:
            level = msgspec.json.decode(raw, type=dict[str, msgspec.Raw] | list[msgspec.Raw])
            if isinstance(level, list):
                if level:
                    raise BadAnswer(f"a list where {part} belongs", method=answer.method)
                return []  # PHP writes an empty map as `[]`
            if part not in level:
                raise BadAnswer(f"the answer has no {part}", method=answer.method)
            raw = level[part]
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except msgspec.MsgspecError as error:
        raise BadAnswer(f"no list of rows in the answer: {error}", method=answer.method) from None


@lru_cache(maxsize=64)
def _wrapped(name: str) -> "msgspec.json.Decoder[Any]":
    """Takes a page apart in one look: `{"tasks": [...]}`."""
    kind = msgspec.defstruct("_Wrapped", [("rows", list[msgspec.Raw], msgspec.field(name=name))], frozen=True)
    return msgspec.json.Decoder(kind)


@lru_cache(maxsize=64)
def _id_reader(name: str) -> Callable[[msgspec.Raw], int | None]:
    """Reads one field and skips the others without building them; where it comes first, without looking at them."""
    first = re.compile(rb'\{"%b":"?([1-9][0-9]{0,17})"?[,}]' % re.escape(name.encode())).match
    row = msgspec.defstruct("_Row", [("id", Any, msgspec.field(name=name, default=None))], frozen=True)
    decoder = msgspec.json.Decoder(row)

    def read(raw: msgspec.Raw) -> int | None:
        if found := first(raw):
            return int(found[1])
        try:
            value = as_int(decoder.decode(raw).id)  # type: ignore[attr-defined]  # made above
        except (msgspec.MsgspecError, RecursionError):
            return None
        return value if value is not None and 0 < value <= _LARGEST else None

    return read
