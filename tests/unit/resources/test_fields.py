"""One value at a time: what is read, and what is refused with a reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import Rejected
from worker.resources import fields


@pytest.mark.parametrize(
    ("sent", "number"),
    [
        ("12", 12), (12, 12), (12.0, 12), ("12.0", 12), (" 12 ", 12), ("+5", 5), ("-3", -3), ("007", 7),
        (0, 0), ("0", 0),
        ("", None), ("  ", None), (None, None), (False, None), ([], None), ({}, None),
        (2**63 - 1, 2**63 - 1), (str(-(2**63)), -(2**63)), ("2147483648", 2**31),
    ],
    ids=repr,
)  # fmt: skip
def test_a_number_is_read_from_every_spelling(sent: object, number: int | None):
    assert fields.to_int(sent, "x") == number


@pytest.mark.parametrize(
    "sent", ["abc", "12abc", "0x12", 12.5, "12.5", True, [1], {"a": 1}, "1e3", "--1", "NaN"], ids=repr
)
def test_what_is_no_number_is_rejected_by_name_and_value(sent: object):
    with pytest.raises(Rejected, match=r"^priority: .* is no whole number$"):
        fields.to_int(sent, "priority")


@pytest.mark.parametrize("sent", [2**63, str(2**63), -(2**63) - 1, "9" * 39, 1e30], ids=repr)
def test_a_number_beyond_64_bits_is_rejected(sent: object):
    with pytest.raises(Rejected, match="too large"):
        fields.to_int(sent, "id")


@pytest.mark.parametrize("sent", [None, "", 0, "0", -1, "abc", [], True], ids=repr)
def test_an_unreadable_id_is_rejected(sent: object):
    with pytest.raises(Rejected, match=r"^ID: "):
        fields.to_key(sent, "ID")


@pytest.mark.parametrize(
    ("sent", "flag"),
    [
        ("Y", True), ("y", True), (True, True), ("1", True), (1, True), ("true", True),
        ("N", False), (False, False), ("0", False), (0, False), ("", None), (None, None), ([], None),
    ],
    ids=repr,
)  # fmt: skip
def test_a_flag_is_read_from_every_spelling(sent: object, flag: bool | None):
    assert fields.to_bool(sent, "ACTIVE") is flag


@pytest.mark.parametrize("sent", ["perhaps", 2, [1]], ids=repr)
def test_what_is_no_flag_is_rejected(sent: object):
    with pytest.raises(Rejected, match=r"ACTIVE: .* is no flag"):
        fields.to_bool(sent, "ACTIVE")


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("a", "a"), ("", ""), (5, "5"), (5.5, "5.5"), (True, "1"), (None, None), (False, None), ([], None), ({}, None),
        ("a\x00b", "a\ufffdb"), ("a\ud800b", "a\ufffdb"), ("😀", "😀"), (" kept ", " kept "),
    ],
    ids=repr,
)  # fmt: skip
def test_a_text_is_cleaned_and_otherwise_left_alone(sent: object, text: str | None):
    assert fields.to_text(sent, "title") == text


def test_a_text_that_is_a_list_is_rejected():
    with pytest.raises(Rejected, match=r"title: .* is no text"):
        fields.to_text(["a"], "title")


def test_only_titles_keep_the_empty_text():
    assert fields.text_or_none("") is None
    assert fields.title_or_none("") == ""
    assert fields.title_or_none(None) is None
    assert fields.title_or_none("a\x00") == fields.text_or_none("a\x00") == "a\ufffd"


@pytest.mark.parametrize(
    ("sent", "numbers"),
    [
        (["15", "2"], [15, 2]), ({"0": "15", "4": 2}, [15, 2]), ([], []), ({}, []), (False, []), (None, []), ("", []),
        ("5", [5]), (5, [5]), (["1", None, ""], [1]),
    ],
    ids=repr,
)  # fmt: skip
def test_a_list_of_numbers_is_read_from_lists_maps_and_single_values(sent: object, numbers: list[int]):
    assert fields.to_ints(sent, "auditors") == numbers


@pytest.mark.parametrize("sent", [["1", "abc"], [[1]], True, 5.5], ids=repr)
def test_a_list_with_rubbish_in_it_is_rejected(sent: object):
    with pytest.raises(Rejected, match=r"^auditors: "):
        fields.to_ints(sent, "auditors")


def test_a_list_of_texts_keeps_its_order_and_drops_nothings():
    assert fields.to_texts({"0": "L_1", "1": None, "2": "", "3": "D_2"}, "ufCrmTask") == ["L_1", "D_2"]
    assert fields.to_texts(False, "ufCrmTask") == []


def test_a_reason_is_short_and_printable():
    with pytest.raises(Rejected) as caught:
        fields.to_int("\x00\ud800\n" + "x" * 10_000, "id")
    assert len(str(caught.value)) < 100
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()


@given(st.lists(st.text() | st.integers(-(2**63), 2**63 - 1)))
def test_a_list_column_is_compact_json(values: list[str | int]):
    """As `json.dumps(x, ensure_ascii=False, separators=(",", ":"))` writes it."""
    assert fields.json_list(values) == json.dumps(values, ensure_ascii=False, separators=(",", ":"))


@given(
    st.recursive(
        st.none() | st.text(st.characters(exclude_categories=())),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=())), inner),
    )
)
def test_cleaned_values_can_be_stored(value: object):
    text = json.dumps(fields.cleaned(value), ensure_ascii=False)
    text.encode()
    assert "\x00" not in text
