"""The content hash and its canonical form."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import Rejected
from worker.resources.hashing import canonical, canonical_fields, content_hash
from worker.resources.times import TaskClock

CLOCK = TaskClock(None, datetime(2026, 11, 23, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("sent", "form"),
    [
        (12, "12"), ("12", "12"), (12.0, "12"), (12.5, "12.5"), (True, "1"), ("1", "1"), (0, "0"),
        (["1", 2], ["1", "2"]), ({"0": 1, "1": "2"}, ["1", "2"]), ({"10": 1, "9": 2}, ["2", "1"]),
        ({"b": 1, "a": [False]}, {"a": [None], "b": "1"}),
        (None, None), (False, None), ("", None), ([], None), ({}, None),
        ("2026-05-04T09:30:00+02:00", "2026-05-04 07:30:00+00:00"), ("2026-05-04", "2026-05-04"),
        ("2026-99-04T09:30:00+02:00", "2026-99-04T09:30:00+02:00"),
    ],
    ids=repr,
)  # fmt: skip
def test_one_form_for_every_spelling(sent: object, form: object):
    assert canonical(sent, CLOCK) == form


def test_a_field_has_one_name_and_an_empty_one_is_none():
    assert canonical_fields({"UF_AUTO_1": 5, "UF_X": False}, CLOCK) == canonical_fields({"ufAuto1": "5"}, CLOCK)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(), max_size=5))
def test_the_order_of_custom_fields_is_nothing(custom: dict[str, object]):
    turned = dict(reversed(custom.items()))
    assert content_hash([1, None, "x"], custom) == content_hash([1, None, "x"], turned)


def test_the_order_of_values_is_something():
    assert content_hash([1, None]) != content_hash([None, 1])
    assert content_hash(["1"]) != content_hash([1])
    assert content_hash([1], {}) == content_hash([1], None)


@pytest.mark.parametrize("value", [10**40, "\ud800", float("nan"), datetime(2026, 1, 1, tzinfo=UTC)], ids=repr)
def test_every_value_has_a_hash(value: object):
    digest = content_hash([value], {"x": value})
    assert len(digest) == 32
    assert int(digest, 16) >= 0


def test_a_bottomless_custom_field_is_rejected():
    deep: list[object] = ["x"]
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Rejected, match="too deeply"):
        canonical_fields({"UF_X": deep}, CLOCK)
