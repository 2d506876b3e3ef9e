"""From the JSON text of a record to a typed one.

The quick way is msgspec: a Struct names the fields that matter and everything else is skipped unread, several times
faster than building dicts. Whatever it will not take (`""` for a number, a map for a list, a lone surrogate) goes the
slow way: the standard library's parser, and the converters of `fields`, chosen by the annotations of the same Struct.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, get_type_hints

import msgspec
from msgspec import Meta, Raw, Struct

from worker.errors import BadAnswer, Rejected
from worker.resources import fields
from worker.resources.fields import INT64_MAX, INT64_MIN, clean, cleaned, is_nothing

S = TypeVar("S", bound=Struct)


@dataclass(frozen=True)
class Slowly:
    """How a field's value is converted when the typed decoder refused the record."""

    convert: Callable[[object, str], Any]


def _tags(value: object, name: str) -> list[Any]:
    return [_tag(item, name) for item in fields.items(value, name) if not is_nothing(item)]


def _tag(item: object, name: str) -> "Tag":
    title = item.get("title", item.get("TITLE", item.get("NAME"))) if isinstance(item, dict) else item
    return Tag(title=fields.to_text(title, name))


class Tag(Struct):
    """One tag of a task: its ID is left alone (an int here, a string there), its title is what is kept."""

    title: str | None = None


# The words in which records are written down: what msgspec takes at once, and the converter for all the rest.
Key = Annotated[int, Meta(ge=1, le=INT64_MAX), Slowly(fields.to_key)]
Number = Annotated[Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)] | None, Slowly(fields.to_int)]
Text = Annotated[str | None, Slowly(fields.to_text)]
Flag = Annotated[bool | str | None, Slowly(fields.to_bool)]
Numbers = Annotated[list[Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]] | None, Slowly(fields.to_ints)]
Texts = Annotated[list[str] | bool | None, Slowly(fields.to_texts)]
Tags = Annotated[dict[str, Tag] | list[Tag] | None, Slowly(_tags)]


class Reader(Generic[S]):
    """Reads records of one kind.

    Args:
        kind: The Struct of the fields that matter.
        typed_custom: Custom fields (as sent) that the Struct has already: they are left out of `custom`.
    """

    def __init__(self, kind: type[S], typed_custom: Iterable[str] = ()) -> None:
        self._kind = kind
        self._decode = msgspec.json.Decoder(kind, strict=False).decode
        self._typed_custom = frozenset(typed_custom)
        # One search for each of the ways to begin, because a pattern that begins with a text is found thrice as fast.
        self._custom_lower, self._custom_upper = (self._custom_value(start) for start in ("uf", "UF"))
        self._ordinary = set(self._typed_custom)  # names met so far that are no custom fields: most of every record

    def _custom_value(self, start: str) -> Callable[[Raw], object]:
        """Finds a key, or what looks like one: of a field that has no place in the Struct, and holds something."""
        rests = [name.removeprefix(start) for name in sorted(self._typed_custom) if name.startswith(start)]
        typed = "".join(f'(?!{re.escape(rest)}")' for rest in rests)
        return re.compile(rf'"{start}{typed}[^"]*"(?!:(?:null|false|""|\[\]|\{{\}})[,}}])'.encode()).search

    def read(self, raw: Raw) -> S:
        """The typed record. Raises Rejected with the field that cannot be read."""
        try:
            return self._decode(raw)
        except _REFUSALS:
            return self._read_slowly(raw)

    def _read_slowly(self, raw: Raw) -> S:
        record = parsed(raw)
        given = {
            attribute: convert(record[name], name) for attribute, name, convert in _plan(self._kind) if name in record
        }
        try:
            return self._kind(**given)
        except TypeError as error:
            raise Rejected(f"{self._kind.__struct_encode_fields__[0]}: missing") from error

    def custom(self, raw: Raw) -> dict[str, Any]:
        """The custom fields (UF_..., uf...) that the Struct does not have; some that hold nothing may be missing."""
        if not self._custom_lower(raw) and not self._custom_upper(raw):
            return {}
        text = bytes(raw)
        try:
            record: dict[str, Raw] = _RAW_FIELDS(text)
            return {name: msgspec.json.decode(record[name]) for name in self._custom_names(record)}
        except _REFUSALS:
            slowly = parsed(raw)
            return {name: slowly[name] for name in self._custom_names(slowly)}

    def _custom_names(self, record: Mapping[str, object]) -> list[str]:
        strange = record.keys() - self._ordinary
        custom = [name for name in strange if name[:2] in _CUSTOM]
        if len(custom) < len(strange) and len(self._ordinary) < _NAMES:
            self._ordinary.update(strange.difference(custom))
        return custom


_REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_CUSTOM = frozenset({"uf", "UF"})
_NAMES = 1000  # a bound; a record has a few dozen
_RAW_FIELDS = msgspec.json.Decoder(dict[str, Raw]).decode


@lru_cache(maxsize=64)
def _plan(kind: type[Struct]) -> list[tuple[str, str, Callable[[object, str], Any]]]:
    """Attribute, name in the record, converter: for each field of a Struct."""
    hints = get_type_hints(kind, include_extras=True)
    sent_as = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    return [(attribute, name, _converter(hints[attribute])) for attribute, name in sent_as.items()]


def _converter(hint: object) -> Callable[[object, str], Any]:
    found = [part for part in getattr(hint, "__metadata__", ()) if isinstance(part, Slowly)]
    return found[0].convert


def parsed(raw: Raw) -> dict[str, Any]:
    """A record as a dict, by the parser that minds nothing; its texts are cleaned. Raises Rejected if it is none."""
    try:
        record = json.loads(payload_text(raw))
        if isinstance(record, dict):
            return {clean(name): cleaned(value) for name, value in record.items()}
    except ValueError as error:
        raise Rejected(f"the record is no JSON: {error}") from error
    except RecursionError as error:
        raise Rejected("the record is nested too deeply") from error
    raise Rejected(f"the record is no object: {fields.shown(record)}")


def payload_text(raw: Raw) -> str:
    """The record's JSON text as the portal sent it, as far as a TEXT column can hold it."""
    text = bytes(raw).decode(errors="replace")
    return clean(text) if "\x00" in text else text


class Reject(NamedTuple):
    """A record that cannot become a row.

    Args:
        record_key: Names the record among those of its resource.
        payload: Its JSON text.
        reason: Which field, and what was in it.
    """

    record_key: str
    payload: str
    reason: str


def says_nothing(raw: Raw) -> bool:
    """Whether the JSON text is one of PHP's ways of saying that there is nothing."""
    return bytes(raw).strip() in _NOTHING


def rows_of(raw: Raw, method: str) -> list[Raw]:
    """The records of a plain list, or of what PHP sends instead: a map, `[]`, `{}`, false, null. Raises BadAnswer."""
    if says_nothing(raw):
        return []
    text = bytes(raw).strip()
    try:
        if text.startswith(b"{"):
            return list(_RAW_FIELDS(text).values())
        return _RAW_LIST(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadAnswer(f"a list was expected: {error}", method=method) from error


_NOTHING = frozenset({b"", b"[]", b"{}", b"null", b"false", b'""'})
_RAW_LIST = msgspec.json.Decoder(list[Raw]).decode
