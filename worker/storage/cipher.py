"""Encryption of secrets at rest, and where its keys come from."""

import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from worker.errors import UsageError
from worker.storage.models import OAuthToken
from worker.storage.statements import change

SETTING = "B24SYNC_ENCRYPTION_KEYS"


class Cipher:
    """Fernet with several keys: the first encrypts, all decrypt.

    Args:
        keys: As in B24SYNC_ENCRYPTION_KEYS; or whoever tells them as they are now, asked at every use: so a daemon that
            runs takes up new keys.
    """

    def __init__(self, keys: Sequence[str] | Callable[[], Sequence[str]]) -> None:
        self._told = keys if callable(keys) else lambda: keys
        self._ring = _ring(self._told())

    def encrypt(self, secret: str) -> str:
        return self._now().encrypt(secret.encode()).decode()

    def decrypt(self, stored: str) -> str:
        """Raises UsageError when no key fits."""
        try:
            return self._now().decrypt(stored).decode()
        except InvalidToken:
            raise _no_key_fits() from None

    def renew(self, stored: str) -> str:
        """The same secret, encrypted with the first key."""
        try:
            return self._now().rotate(stored).decode()
        except InvalidToken:
            raise _no_key_fits() from None

    def _now(self) -> MultiFernet:
        keys = tuple(self._told())
        if keys != self._ring[0]:
            self._ring = _ring(keys)  # one assignment: threads see the old ring or the new one
        return self._ring[1]

    def __repr__(self) -> str:
        return "Cipher(...)"


class KeyFile:
    """The keys of a file as they are now: read anew when the file was replaced. It is made where there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = load_or_create_key_file(path)
        self._mark = _mark_of(path)

    def __call__(self) -> Sequence[str]:
        """A file that cannot be read for the moment changes nothing."""
        mark = _mark_of(self._path)
        if mark is not None and mark != self._mark:
            with suppress(UsageError):
                self._keys = _read_keys(self._path)
                self._mark = mark
        return self._keys


def _mark_of(path: Path) -> tuple[int, int, int] | None:
    """What tells one version of a file from the next."""
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_ino, told.st_mtime_ns, told.st_size


def _ring(keys: Sequence[str]) -> tuple[tuple[str, ...], MultiFernet]:
    if not keys:
        raise UsageError(f"{SETTING} holds no key")
    try:
        return tuple(keys), MultiFernet([Fernet(key) for key in keys])
    except ValueError:
        raise UsageError(f"{SETTING} must be Fernet keys (32 bytes, url-safe base64), comma-separated") from None


def rotate(session: Session, cipher: Cipher) -> int:
    """Encrypt all stored secrets with the first key. All rows or none.

    The rows are locked first: a pair that is replaced meanwhile would be overwritten with the dead one.

    Returns:
        How many accounts' secrets were encrypted anew.
    """
    statement = select(
        OAuthToken.account_id, OAuthToken.access_token_encrypted, OAuthToken.refresh_token_encrypted
    ).order_by(OAuthToken.account_id)
    rows = session.execute(statement.with_for_update()).all()
    for account_id, access, refresh in rows:
        values = {
            "access_token_encrypted": cipher.renew(access),
            "refresh_token_encrypted": None if refresh is None else cipher.renew(refresh),
        }
        change(session, update(OAuthToken).where(OAuthToken.account_id == account_id).values(**values))
    return len(rows)


def load_or_create_key_file(path: Path) -> tuple[str, ...]:
    """The keys in `path`, one a line, the first encrypts. The file is made, mode 0600, where there is none.

    Of two processes that make it at once one wins and both read the winner's: the file appears whole or not at all.
    """
    if not path.exists():
        _publish(path, [Fernet.generate_key().decode()], replace=False)
    return _read_keys(path)


def add_key_to_file(path: Path) -> tuple[str, ...]:
    """Put a new key before those in `path`: the first step of a rotation."""
    _publish(path, [Fernet.generate_key().decode(), *_read_keys(path)], replace=True)
    return _read_keys(path)


def _publish(path: Path, keys: Sequence[str], *, replace: bool) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write("".join(f"{key}\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            with suppress(FileExistsError):  # somebody was faster: their key stays
                path.hardlink_to(draft)
    except OSError as error:
        raise UsageError(f"the key file {path} cannot be written: {error.strerror}; or set {SETTING}") from error
    finally:
        with suppress(OSError):
            draft.unlink()


def _read_keys(path: Path) -> tuple[str, ...]:
    try:
        keys = tuple(path.read_text(encoding="ascii").replace(",", "\n").split())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the key file {path} cannot be read: put it right, or set {SETTING}") from error
    try:
        for key in keys:
            Fernet(key)
    except ValueError:
        keys = ()
    if not keys:
        raise UsageError(f"the key file {path} holds no usable key: restore it, or set {SETTING}")
    return keys


def _no_key_fits() -> UsageError:
    return UsageError(
        f"the stored tokens were encrypted with another key: add that key to {SETTING} (or restore the key file),"
        " or connect the portals again"
    )
