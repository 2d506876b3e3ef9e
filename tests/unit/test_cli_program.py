"""Exit codes and sentences, and how `-p KEY=VALUE` becomes parameters."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from worker.cli.calls import parameters
from worker.cli.console import ago, ahead, plain, span
from worker.cli.program import database_sentence, exit_code, sentences
from worker.errors import (
    B24SyncError,
    GuardTripped,
    IncompleteRun,
    Interrupted,
    LeaseLost,
    MissingScope,
    NeedsReauth,
    PortalClosed,
    SchemaError,
    SettingsError,
    Unreachable,
    UsageError,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([], 0),
        ([Unreachable()], 1),
        ([PortalClosed()], 1),
        ([MissingScope()], 1),
        ([B24SyncError("x")], 1),
        ([UsageError("x")], 2),
        ([SettingsError(["x"])], 2),
        ([SchemaError("x")], 2),
        ([NeedsReauth()], 3),
        ([IncompleteRun("x")], 4),
        ([Interrupted("x")], 4),
        ([GuardTripped("x")], 4),
        ([LeaseLost("x")], 4),
        ([GuardTripped("x"), NeedsReauth(), Unreachable()], 1),
        ([GuardTripped("x"), NeedsReauth()], 3),
        ([NeedsReauth(), Unreachable()], 1),
    ],
)
def test_the_gravest_decides_the_exit_code(errors: list[B24SyncError], code: int):
    assert exit_code(errors) == code


def test_a_dead_authorization_names_its_cure():
    assert sentences(NeedsReauth("the token is dead", portal="acme.de")) == [
        "acme.de: the token is dead: run `b24sync connect acme.de`"
    ]


def test_settings_problems_come_one_a_line():
    assert sentences(SettingsError(["a", "b"])) == ["a", "b"]


def test_a_database_error_is_one_line_without_statement_and_password():
    cause = RuntimeError("cannot reach postgresql://mirror:s3cret@db/b24\nDETAIL: more")
    sentence = database_sentence(OperationalError("SELECT s3cret", {"x": "s3cret"}, cause))

    assert sentence == "the database cannot be used: cannot reach postgresql://mirror:***@db/b24 (see DATABASE_URL)"
    assert "all connections are in use" in database_sentence(PoolTimeout())


@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        ([], {}),
        (["start=50"], {"start": 50}),
        (["name=Anna"], {"name": "Anna"}),
        (["name="], {"name": ""}),
        (["name=a=b"], {"name": "a=b"}),
        (["id=007"], {"id": "007"}),
        (["share=0.5"], {"share": 0.5}),
        (["share=NaN"], {"share": "NaN"}),
        (["big=123456789012345678901"], {"big": 123456789012345678901}),
        (["flag=true"], {"flag": "true"}),
        (["nothing=null"], {"nothing": "null"}),
        (['word="x"'], {"word": '"x"'}),
        (['select=["ID","TITLE"]'], {"select": ["ID", "TITLE"]}),
        (['filter={"ID": 5}'], {"filter": {"ID": 5}}),
        (["select=[ID"], {"select": "[ID"}),
        (["filter[>ID]=5"], {"filter": {">ID": 5}}),
        (["filter[>=CHANGED_DATE]=2026-11-23"], {"filter": {">=CHANGED_DATE": "2026-11-23"}}),
        (["filter.>=CHANGED_DATE=2026-11-23"], {"filter": {">=CHANGED_DATE": "2026-11-23"}}),
        (["filter.!STATUS=5", "filter[ID]=1"], {"filter": {"!STATUS": 5, "ID": 1}}),
        (["order.ID=asc"], {"order": {"ID": "asc"}}),
        (["a[b][c]=1", "a[b][d]=2"], {"a": {"b": {"c": 1, "d": 2}}}),
        (["select[]=ID", "select[]=TITLE"], {"select": ["ID", "TITLE"]}),
        (["list[][x]=1", "list[][x]=2"], {"list": [{"x": 1}, {"x": 2}]}),
        (["text=two\nlines"], {"text": "two\nlines"}),
    ],
)
def test_parameters_nest_as_their_keys_are_written(pairs: list[str], found: dict[str, Any]):
    assert parameters(pairs) == found


@pytest.mark.parametrize(
    "pairs", [["x"], ["=1"], ["[a]=1"], ["a[b=1"], ["a=1", "a[b]=2"], ["a[]=1", "a[b]=2"], ["a[b]=1", "a[]=2"]]
)
def test_what_is_no_parameter_is_refused(pairs: list[str]):
    with pytest.raises(UsageError):
        parameters(pairs)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (10**7, "116 d")],
)
def test_spans(seconds: float, text: str):
    assert span(seconds) == text


def test_moments():
    assert ago(None, NOW) == "never"
    assert ago(NOW - timedelta(hours=3), NOW) == "3 h ago"
    assert ahead(None, NOW) == "now"
    assert ahead(NOW - timedelta(hours=3), NOW) == "now"
    assert ahead(NOW + timedelta(minutes=5), NOW) == "in 5 min"


def test_a_portal_cannot_command_the_terminal():
    assert plain("a\x1b[2Jb\x07\rc\nd") == "a [2Jb  c\nd"
