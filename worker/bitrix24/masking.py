"""Takes people out of a portal's answers and leaves everything else: what a recording may hold. Pure but for one key.

An allow-list decides (`structural.py`), so a field that nobody has heard of is a person's. The same text always becomes
the same stand-in within one `Masking`, so links between records survive; the key that makes it so is random and
forgotten, so nobody can find out by trying whose name a stand-in was.
"""

import hashlib
import re
import secrets
from typing import Any

from worker.bitrix24.structural import CONTAINERS, FORMS, is_structural, plain

STRICT = ""
"""The name of a field whose content is a person's, whatever the names inside say."""

_DAYS = "byday"  # a map of days to themselves: {"MO": "MO"}
_FIELD = re.compile(r"[~A-Za-z_][A-Za-z0-9_~]{0,63}")
_DIGITS = re.compile(r"-?[0-9]{1,19}")
_INDEX = re.compile(r"[0-9]{1,4}")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?P<rest>T[0-9]{2}:[0-9]{2}:[0-9]{2}(?P<zone>.*))?", re.DOTALL)
_CODE = re.compile(r"[A-Za-z0-9_.]{0,100}")
_FLAGS = frozenset({"Y", "N", "0", "1"})
_STAND_IN = re.compile(r"(?P<name>.*?)(?P<open>\s*\[)(?P<inside>[^\[\]]+)(?P<close>\]\s*)", re.DOTALL)
_COMMERCIAL = "commercial plan"
_DEEPEST = 100
_ODD = (
    (re.compile("\x00"), "\x00"),
    (re.compile("[\ud800-\udfff]"), "\ud83d"),
    (re.compile("[\U00010000-\U0010ffff]"), "\U0001f4ca"),
    (re.compile("[\u0080-\ud7ff\ue000-\uffff]"), "\u00e9"),
)
"""What has broken a program before, kept as one example of its kind: NUL, half an emoji, an emoji, a letter."""


class Masking:
    """The stand-ins of one recording."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def value(self, name: str, value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - JSON in, JSON out
        """The value of a field `name`, with all that people wrote replaced."""
        if value is None or isinstance(value, bool):
            return value
        if depth > _DEEPEST:
            return None
        if isinstance(value, str):
            return self._string(name, value)
        if isinstance(value, list):
            return [self.value(name, item, depth + 1) for item in value]
        if isinstance(value, dict):
            return {self._inner(name, key): self._member(name, key, item, depth) for key, item in value.items()}
        return value if name in FORMS else self._number(value)

    def error(self, code: object, text: object) -> dict[str, Any]:
        """An error's code, and of its text no more than what decides about it (`refusals`)."""
        said = str(text or "")
        masked = self.text(said) if said else said
        return {
            "error": code if _CODE.fullmatch(str(code)) else self.text(str(code)),
            "error_description": f"{masked} ({_COMMERCIAL})" if _COMMERCIAL in said.lower() else masked,
        }

    def text(self, text: str) -> str:
        """A text's stand-in, of its length where that is longer, with the oddities that it had."""
        if not text.strip():
            return text
        if found := _STAND_IN.fullmatch(text):  # `[Busy]` in any language says that the rest is hidden
            return self.text(found["name"]) + found["open"] + self.text(found["inside"]) + found["close"]
        mark = self._mark(text)
        if "@" in text and " " not in text:
            return f"{mark}@example.invalid"
        if "://" in text:
            return f"https://example.invalid/{mark}"
        if text.startswith("/"):
            return f"/{mark}/"
        odd = "".join(example for pattern, example in _ODD if pattern.search(text))
        return f"text {mark}{odd}".ljust(len(text), "x")

    def _member(self, name: str, key: str, item: object, depth: int) -> Any:  # noqa: ANN401 - JSON
        """A map's member: by its own name inside what is known, by its map's where the keys are numbers."""
        if name == STRICT:
            return self.value(STRICT, item, depth + 1)
        own = plain(key)
        if own in FORMS or own in CONTAINERS:
            return self.value(own, item, depth + 1)
        inherited = name == _DAYS or _DIGITS.fullmatch(key)
        return self.value(name if inherited else STRICT, item, depth + 1)

    def _inner(self, name: str, key: str) -> str:
        """A key: names of fields and numbers are told, whatever else people named is not."""
        if name == STRICT:
            return key if _INDEX.fullmatch(key) else self._mark(key)
        known = _FIELD.fullmatch(key) or _DIGITS.fullmatch(key) or (name == _DAYS and is_structural(name, key))
        return key if known else self._mark(key)

    def _string(self, name: str, text: str) -> str:
        if is_structural(name, text) or text in _FLAGS or not text.strip():
            return text
        if _DIGITS.fullmatch(text):
            return str(self._whole(text))
        if found := _ISO_DATE.fullmatch(text):
            return self._date(text, found)
        return self.text(text)

    def _number(self, value: float) -> float:
        if value in {0, 1}:
            return value
        if isinstance(value, int):
            return self._whole(str(value))
        return self._whole(str(int(value))) + 0.5 if abs(value) < 2**53 else 0.5

    def _whole(self, text: str) -> int:
        """Another number with as many digits."""
        sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
        least = int(10 ** (len(digits) - 1))
        return sign * (least + int(self._mark(text), 16) % (9 * least))

    def _date(self, text: str, found: re.Match[str]) -> str:
        """Another date in the same form."""
        seed = int(self._mark(text), 16)
        day = f"{1980 + seed % 40}-{1 + seed // 40 % 12:02d}-{1 + seed // 480 % 28:02d}"
        if not found["rest"]:
            return day
        zone = found["zone"] if re.fullmatch(r"Z|[+-][0-9]{2}:?[0-9]{2}", found["zone"]) else ""
        return f"{day}T{seed // 13440 % 24:02d}:{seed // 322560 % 60:02d}:00{zone}"

    def _mark(self, text: str) -> str:
        """Twelve hex digits that stand for this text, in this recording only."""
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6, key=self._key).hexdigest()
