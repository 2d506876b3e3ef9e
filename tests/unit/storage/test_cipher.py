"""Secrets at rest: what is encrypted with which key, and what is said when it does not fit."""

import stat
import threading
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from worker.errors import UsageError
from worker.storage.cipher import Cipher, KeyFile, add_key_to_file, load_or_create_key_file

ONE, TWO = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_a_secret_comes_back():
    """And is not to be seen meanwhile."""
    cipher = Cipher([ONE])
    stored = cipher.encrypt("s3cr3t é😀")

    assert "s3cr3t" not in stored
    assert cipher.decrypt(stored) == "s3cr3t é😀"


def test_the_first_key_encrypts_and_all_decrypt():
    """So a key is put before the others, and taken away when everything was encrypted anew."""
    old = Cipher([ONE]).encrypt("s3cr3t")
    both = Cipher([TWO, ONE])

    assert both.decrypt(old) == "s3cr3t"
    assert Cipher([TWO]).decrypt(both.encrypt("s3cr3t")) == "s3cr3t"
    assert Cipher([TWO]).decrypt(both.renew(old)) == "s3cr3t"


def test_a_wrong_key_is_told_with_the_setting_to_mend():
    """A sentence for the operator."""
    stored = Cipher([ONE]).encrypt("s3cr3t")
    for act in (Cipher([TWO]).decrypt, Cipher([TWO]).renew):
        with pytest.raises(UsageError, match="encrypted with another key: add that key to B24SYNC_ENCRYPTION_KEYS"):
            act(stored)


@pytest.mark.parametrize("keys", [[], ["short"], [ONE, "é" * 44]])
def test_a_key_that_is_none_is_told(keys: list[str]):
    """Without showing it."""
    with pytest.raises(UsageError, match="B24SYNC_ENCRYPTION_KEYS") as caught:
        Cipher(keys)
    assert ONE not in str(caught.value)


def test_a_cipher_shows_no_key():
    """Not in a log, not in a debugger's line."""
    assert ONE not in repr(Cipher([ONE]))


def test_a_key_file_is_made_once(tmp_path: Path):
    """Readable by its owner alone, and the same ever after."""
    path = tmp_path / "new" / "encryption.key"
    keys = load_or_create_key_file(path)

    assert load_or_create_key_file(path) == keys
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Cipher(keys).decrypt(Cipher(keys).encrypt("x")) == "x"
    assert [file.name for file in path.parent.iterdir()] == ["encryption.key"]


def test_processes_that_start_at_once_have_one_key(tmp_path: Path):
    """Two keys would make one of them unable to read the other's tokens."""
    path = tmp_path / "encryption.key"
    start = threading.Barrier(8)
    found: list[tuple[str, ...]] = []

    def run() -> None:
        start.wait()
        found.append(load_or_create_key_file(path))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_new_key_comes_first(tmp_path: Path):
    """The old ones stay until nothing is encrypted with them."""
    path = tmp_path / "encryption.key"
    old = load_or_create_key_file(path)
    new = add_key_to_file(path)

    assert new[1:] == old
    assert new[0] not in old
    assert load_or_create_key_file(path) == new
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"\n", b"short\n", b"\xff\xfe"])
def test_a_broken_key_file_is_told_and_not_replaced(tmp_path: Path, content: bytes):
    """A new key in its place would lose every token."""
    path = tmp_path / "encryption.key"
    path.write_bytes(content)
    for act in (load_or_create_key_file, add_key_to_file):
        with pytest.raises(UsageError, match=r"the key file .*encryption.key .*B24SYNC_ENCRYPTION_KEYS"):
            act(path)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path):
    """With the path and the way out."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be written: .*or set B24SYNC_ENCRYPTION_KEYS"):
        load_or_create_key_file(tmp_path / "file" / "encryption.key")


def test_a_replaced_key_file_is_read_anew(tmp_path: Path):
    """By whoever holds it open: what was encrypted by another process with the new key is understood at once."""
    file = tmp_path / "encryption.key"
    cipher = Cipher(KeyFile(file))
    old = cipher.encrypt("secret")
    keys = add_key_to_file(file)

    assert cipher.decrypt(Cipher(keys[:1]).encrypt("new")) == "new"
    assert cipher.decrypt(old) == "secret"
    assert Cipher(keys[:1]).decrypt(cipher.encrypt("mine")) == "mine"


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_a_key_file_that_cannot_be_read_for_the_moment_changes_nothing(tmp_path: Path, content: bytes | None):
    """An editor that writes it in two steps must not stop a daemon."""
    file = tmp_path / "encryption.key"
    cipher = Cipher(KeyFile(file))
    stored = cipher.encrypt("secret")
    file.unlink()
    if content is not None:
        file.write_bytes(content)

    assert cipher.decrypt(stored) == "secret"
