"""Parameters arrive as PHP reads them: checked against a reader written after PHP's own rules."""

from typing import Any
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.bitrix24.calls import Ref
from worker.bitrix24.query import encode_query


def php_parse(query: str) -> dict[str, Any]:
    """`parse_str`: cut at `&`, then at the first `=`, decode both, and only then look for brackets in the name."""
    found: dict[str, Any] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        name, value = unquote_plus(name), unquote_plus(value)
        head, bracket, rest = name.partition("[")
        path = [head.replace(" ", "_").replace(".", "_")]
        if bracket and "]" in rest:
            path += rest.removesuffix("]").split("][")
        level = found
        for step in path[:-1]:
            level = level.setdefault(step, {})
        level[path[-1]] = value
    return found


def as_php(value: object) -> object:
    if isinstance(value, dict):
        return {key: as_php(item) for key, item in value.items()}
    if isinstance(value, list):
        return {str(index): as_php(item) for index, item in enumerate(value)}
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else str(value)


names = st.text(st.characters(exclude_characters="[]\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
top_names = st.text("abcXYZ_=&%+>!", min_size=1, max_size=6)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda text: "$" not in text)
scalars = st.none() | st.booleans() | st.integers() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(names, inner, min_size=1, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(top_names, values, max_size=4))
def test_php_reads_what_was_meant(params: dict[str, Any]):
    """Every name and value survives, whatever `=`, `&`, `+`, `%` and spaces are in them."""
    assert php_parse(encode_query(params)) == as_php(params)


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({}, ""),
        ({"filter": {">=CHANGED_DATE": "2026-11-23T09:00:00Z"}}, "filter[%3E%3DCHANGED_DATE]=2026-11-23T09%3A00%3A00Z"),
        ({"select": ["ID", "UF_*"]}, "select[0]=ID&select[1]=UF_%2A"),
        ({"a": True, "b": False, "c": None, "d": 1.5}, "a=1&b=0&c=&d=1.5"),
        ({"date": "2026-11-23T09:00:00+03:00"}, "date=2026-11-23T09%3A00%3A00%2B03%3A00"),
        ({"filter": {}, "select": []}, ""),
        ({"filter": {">ID": Ref("p0", ("tasks", 49, "id"))}}, "filter[%3EID]=$result[p0][tasks][49][id]"),
    ],
)
def test_known_commands(params: dict[str, Any], query: str):
    assert encode_query(params) == query


@pytest.mark.parametrize(
    "params",
    [
        {"filter": {"ID": []}},  # PHP would drop the condition, and the list would be everything
        {"filter": {"ID": {}}},
        {"a[b]": 1},
        {"a": {"b]": 1}},
        {"a.b": 1},
        {"": 1},
        {"a": {None: 1}},
        {"a": object()},
        {"a": float("nan")},
        {"a": "$result[p0][0]"},
        {"a": "x $next[p0]"},
        {"a": Ref("p0", ("x&y",))},
        {"a": Ref("", ())},
    ],
)
def test_what_would_not_arrive_as_meant_is_refused(params: dict[str, Any]):
    with pytest.raises(ValueError):
        encode_query(params)


def test_nesting_is_bounded():
    deep: dict[str, Any] = {"a": 1}
    for _ in range(50):
        deep = {"a": deep}

    with pytest.raises(ValueError, match="deep"):
        encode_query(deep)
