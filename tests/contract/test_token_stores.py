"""What every TokenStore keeps to, held against the one in SQL (on three databases) and a plain one in memory."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from tests.conftest import FakeClock
from tests.integration.conftest import DIALECTS, connect, migrated_database
from worker.errors import NeedsReauth, UsageError
from worker.storage import portals
from worker.storage.cipher import Cipher, rotate
from worker.storage.models import Account, OAuthToken
from worker.storage.session import Database
from worker.storage.tokens import SqlTokenStore, token_dates
from worker.tokens import Grant, Token, TokenStore

LEASE = timedelta(seconds=30)
KEY = Fernet.generate_key().decode()


@dataclass
class Kept:
    """What MemoryTokenStore knows of an account."""

    token: Token
    owner: str | None = None
    until: object = None
    reason: str | None = None


class MemoryTokenStore:
    """The rules without a database: what the SQL must amount to."""

    def __init__(self) -> None:
        self._kept: dict[int, Kept] = {}
        self._lock = threading.Lock()

    def add(self, account_id: int, grant: Grant) -> None:
        with self._lock:
            self._kept[account_id] = Kept(_token(account_id, grant, grant.refresh_token, version=1))

    def load(self, account_id: int) -> Token:
        with self._lock:
            kept = self._kept.get(account_id)
        if kept is None or kept.reason is not None:
            raise NeedsReauth(kept.reason if kept and kept.reason else "no token")
        return kept.token

    def claim_refresh(self, account_id: int, *, version: int, owner: str, now: object, lease: timedelta) -> bool:
        with self._lock:
            kept = self._kept[account_id]
            if kept.token.version != version or (kept.until is not None and kept.until > now):  # type: ignore[operator]
                return False
            kept.owner, kept.until = owner, now + lease  # type: ignore[operator]
            kept.token = replace(kept.token, unanswered=kept.token.unanswered + 1)
            return True

    def release_refresh(self, account_id: int, *, version: int, owner: str, answered: bool) -> None:
        with self._lock:
            kept = self._kept[account_id]
            if answered and kept.token.version == version and kept.token.unanswered:
                kept.token = replace(kept.token, unanswered=kept.token.unanswered - 1)
            if kept.owner == owner:
                kept.owner = kept.until = None

    def replace(self, account_id: int, *, version: int, grant: Grant) -> bool:
        with self._lock:
            kept = self._kept[account_id]
            if kept.token.version != version:
                return False
            token = _token(account_id, grant, grant.refresh_token or kept.token.refresh_token, version=version + 1)
            if grant.refresh_token is None:
                token = replace(token, refresh_issued_at=kept.token.refresh_issued_at)
            self._kept[account_id] = Kept(token)
            return True

    def condemn(self, account_id: int, *, version: int, reason: str) -> bool:
        with self._lock:
            kept = self._kept[account_id]
            if kept.token.version != version:
                return False
            kept.reason, kept.owner, kept.until = reason, None, None
            return True


def _token(account_id: int, grant: Grant, refresh_token: str | None, *, version: int) -> Token:
    return Token(
        account_id=account_id,
        access_token=grant.access_token,
        refresh_token=refresh_token,
        expires_in=grant.expires_in,
        access_expires_at=grant.received_at + timedelta(seconds=grant.expires_in),
        refresh_issued_at=grant.received_at,
        version=version,
    )


class Subject(Protocol):
    """A store under test, with the means to add an account."""

    store: TokenStore

    def add(self, grant: Grant) -> int: ...


class MemorySubject:
    def __init__(self) -> None:
        self.memory = MemoryTokenStore()
        self.store: TokenStore = self.memory

    def add(self, grant: Grant) -> int:
        self.memory.add(1, grant)
        return 1


class SqlSubject:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.sql = SqlTokenStore(database, Cipher([KEY]))
        self.store: TokenStore = self.sql
        self._added = 0

    def add(self, grant: Grant) -> int:
        self._added += 1
        with self.database.write() as session:
            account = connect(session, grant.received_at, user_id=self._added)
            self.sql.save_new(session, account.id, grant)
            return account.id

    def empty(self) -> None:
        with self.database.write() as session:
            for portal in portals.list_portals(session):
                portals.remove_portal(session, portal.id)


@pytest.fixture(scope="module", params=[*DIALECTS])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with migrated_database(request.param, tmp_path_factory.mktemp("tokens")) as opened:
        yield opened


@pytest.fixture
def sql(database: Database) -> Iterator[SqlSubject]:
    subject = SqlSubject(database)
    yield subject
    subject.empty()


@pytest.fixture(scope="module", params=[pytest.param("memory", id="memory"), *DIALECTS])
def maker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], MemorySubject | SqlSubject]]:
    if request.param == "memory":
        yield MemorySubject
        return
    with migrated_database(request.param, tmp_path_factory.mktemp("tokens")) as opened:
        yield lambda: SqlSubject(opened)


@pytest.fixture
def subject(maker: Callable[[], MemorySubject | SqlSubject]) -> Iterator[Subject]:
    made = maker()
    yield made
    if isinstance(made, SqlSubject):
        made.empty()


def grant(clock: FakeClock, name: str = "first", *, refresh: bool = True) -> Grant:
    return Grant(f"access {name}", f"refresh {name}" if refresh else None, 3600, clock.now())


def test_a_pair_comes_back(subject: Subject, clock: FakeClock):
    """With its dates by our clock and its first version."""
    account = subject.add(grant(clock))
    token = subject.store.load(account)

    assert (token.access_token, token.refresh_token) == ("access first", "refresh first")
    assert token.access_expires_at == clock.now() + timedelta(hours=1)
    assert (token.refresh_issued_at, token.expires_in, token.account_id) == (clock.now(), 3600, account)


def test_an_account_without_a_pair_needs_a_person(subject: Subject):
    """It is no mistake of the program's."""
    with pytest.raises(NeedsReauth):
        subject.store.load(10**9)


def test_a_new_pair_takes_the_old_ones_place(subject: Subject, clock: FakeClock):
    """Under the next version."""
    account = subject.add(grant(clock))
    before = subject.store.load(account)
    clock.advance(60)

    assert subject.store.replace(account, version=before.version, grant=grant(clock, "second"))

    token = subject.store.load(account)
    assert (token.access_token, token.refresh_token) == ("access second", "refresh second")
    assert (token.version, token.refresh_issued_at) == (before.version + 1, clock.now())


def test_an_answer_without_a_refresh_token_keeps_the_old_one(subject: Subject, clock: FakeClock):
    """And its age."""
    account = subject.add(grant(clock))
    issued = clock.now()
    version = subject.store.load(account).version
    clock.advance(60)
    assert subject.store.replace(account, version=version, grant=grant(clock, "second", refresh=False))

    token = subject.store.load(account)
    assert (token.access_token, token.refresh_token) == ("access second", "refresh first")
    assert token.refresh_issued_at == issued
    assert token.access_expires_at == clock.now() + timedelta(hours=1)


def test_a_pair_made_from_an_older_one_is_not_stored(subject: Subject, clock: FakeClock):
    """It is dead already."""
    account = subject.add(grant(clock))
    version = subject.store.load(account).version
    subject.store.replace(account, version=version, grant=grant(clock, "second"))

    assert not subject.store.replace(account, version=version, grant=grant(clock, "late"))
    assert subject.store.load(account).access_token == "access second"


def test_the_right_to_refresh_is_one_owners(subject: Subject, clock: FakeClock):
    """Until it is given back, runs out, or the pair is replaced."""
    store, account = subject.store, subject.add(grant(clock))
    version = store.load(account).version

    def claim(owner: str, of: int = version) -> bool:
        return store.claim_refresh(account, version=of, owner=owner, now=clock.now(), lease=LEASE)

    assert not claim("a", version + 1)
    assert claim("a")
    assert not claim("b")
    store.release_refresh(account, version=version, owner="b", answered=True)
    assert not claim("b")
    store.release_refresh(account, version=version, owner="a", answered=True)
    assert claim("b")
    clock.advance(31)
    assert claim("c")
    assert store.replace(account, version=version, grant=grant(clock, "second"))
    assert not claim("d")
    assert claim("d", version + 1)


def test_a_refresh_leaves_a_trace_until_its_end_is_known(subject: Subject, clock: FakeClock):
    """Counted with the claim, so before anything is sent; a new pair begins anew."""
    store, account = subject.store, subject.add(grant(clock))
    version = store.load(account).version

    def attempt(owner: str, *, answered: bool | None) -> int:
        assert store.claim_refresh(account, version=version, owner=owner, now=clock.now(), lease=LEASE)
        if answered is None:
            clock.advance(31)  # its process died
        else:
            store.release_refresh(account, version=version, owner=owner, answered=answered)
        return store.load(account).unanswered

    assert attempt("a", answered=True) == 0
    assert attempt("b", answered=False) == 1
    assert attempt("c", answered=None) == 2
    assert attempt("d", answered=True) == 2
    store.release_refresh(account, version=version, owner="c", answered=True)
    assert store.load(account).unanswered == 1
    assert store.replace(account, version=version, grant=grant(clock, "second"))
    assert store.load(account).unanswered == 0
    store.release_refresh(account, version=version, owner="b", answered=True)
    assert store.load(account).unanswered == 0


def test_an_answer_after_the_lease_is_stored(subject: Subject, clock: FakeClock):
    """It may be the only live pair: only the version counts."""
    store, account = subject.store, subject.add(grant(clock))
    version = store.load(account).version
    assert store.claim_refresh(account, version=version, owner="a", now=clock.now(), lease=LEASE)
    clock.advance(40)
    assert store.claim_refresh(account, version=version, owner="b", now=clock.now(), lease=LEASE)

    assert store.replace(account, version=version, grant=grant(clock, "late"))

    assert store.load(account).access_token == "access late"


def test_a_dead_pair_condemns_its_account(subject: Subject, clock: FakeClock):
    """Whoever loads it is told why."""
    account = subject.add(grant(clock))
    assert subject.store.condemn(account, version=subject.store.load(account).version, reason="invalid_grant")

    with pytest.raises(NeedsReauth, match="invalid_grant"):
        subject.store.load(account)


def test_an_old_pair_condemns_nobody(subject: Subject, clock: FakeClock):
    """`invalid_grant` counts only if the stored pair has not changed meanwhile."""
    account = subject.add(grant(clock))
    version = subject.store.load(account).version
    subject.store.replace(account, version=version, grant=grant(clock, "second"))

    assert not subject.store.condemn(account, version=version, reason="invalid_grant")
    assert subject.store.load(account).access_token == "access second"


def test_a_late_answer_heals_a_condemned_account(subject: Subject, clock: FakeClock):
    """Somebody gave the pair up while its successor was on the way."""
    account = subject.add(grant(clock))
    version = subject.store.load(account).version
    assert subject.store.condemn(account, version=version, reason="invalid_grant")

    assert subject.store.replace(account, version=version, grant=grant(clock, "late"))

    assert subject.store.load(account).access_token == "access late"


@pytest.mark.parametrize("act", ["claim", "replace"])
def test_of_eight_threads_one_wins(subject: Subject, clock: FakeClock, act: str):
    """A compare-and-swap, however many try."""
    account = subject.add(grant(clock))
    version = subject.store.load(account).version
    start = threading.Barrier(8)
    won: list[bool] = []

    def run(number: int) -> None:
        start.wait()
        if act == "claim":
            won.append(
                subject.store.claim_refresh(account, version=version, owner=f"{number}", now=clock.now(), lease=LEASE)
            )
        else:
            won.append(subject.store.replace(account, version=version, grant=grant(clock, f"{number}")))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(won) == [False] * 7 + [True]


def test_condemning_and_replacing_at_once_leave_one_truth(sql: SqlSubject, clock: FakeClock):
    """Whichever comes first, a replaced pair is never left behind a condemned account."""
    for _ in range(5):
        account = sql.add(grant(clock))
        start = threading.Barrier(2)

        def condemn(account: int = account, start: threading.Barrier = start) -> None:
            start.wait()
            sql.store.condemn(account, version=1, reason="invalid_grant")

        thread = threading.Thread(target=condemn)
        thread.start()
        start.wait()
        assert sql.store.replace(account, version=1, grant=grant(clock, "second"))
        thread.join()

        assert sql.store.load(account).access_token == "access second"


def test_no_secret_is_stored_or_shown(sql: SqlSubject, clock: FakeClock):
    """Neither in the table nor in a repr."""
    account = sql.add(grant(clock))
    with sql.database.read() as session:
        row = session.get_one(OAuthToken, account)
        assert "first" not in row.access_token_encrypted + str(row.refresh_token_encrypted)
    assert "first" not in repr(sql.store.load(account))


def test_authorizing_again_replaces_the_pair(sql: SqlSubject, clock: FakeClock):
    """A refresh under way cannot bring the old line back."""
    account = sql.add(grant(clock))
    assert sql.store.claim_refresh(account, version=1, owner="a", now=clock.now(), lease=LEASE)
    assert sql.store.condemn(account, version=1, reason="revoked")
    with sql.database.write() as session:
        again = connect(session, clock.now(), user_id=1)
        sql.sql.save_new(session, again.id, grant(clock, "new", refresh=False))

    token = sql.store.load(account)
    assert (token.access_token, token.refresh_token, token.version) == ("access new", None, 2)
    assert not sql.store.replace(account, version=1, grant=grant(clock, "late"))
    assert sql.store.claim_refresh(account, version=2, owner="b", now=clock.now(), lease=LEASE)


def test_a_webhooks_secret_never_ends(sql: SqlSubject, clock: FakeClock):
    """It cannot be refreshed, and need not be."""
    with sql.database.write() as session:
        account = connect(session, clock.now(), kind="webhook")
        sql.sql.save_webhook(session, account.id, "s3cr3t")
        with_secret = account.id

    token = sql.store.load(with_secret)
    assert sql.sql.webhook_secret(with_secret) == "s3cr3t"
    assert token.refresh_token is None
    assert token.access_expires_at - clock.now() > timedelta(days=365_000)


def test_an_account_that_has_no_secret_yet_needs_a_person(sql: SqlSubject, clock: FakeClock):
    """Registered, but its token was not saved."""
    with sql.database.write() as session:
        account = connect(session, clock.now())

    with pytest.raises(NeedsReauth, match=r"one.example: the account has no token"):
        sql.store.load(account.id)


def test_dates_without_secrets(sql: SqlSubject, clock: FakeClock):
    """For the renewal and for people: the pair that ends first comes first."""
    late = sql.add(grant(clock))
    clock.advance(-600)
    early = sql.add(grant(clock))
    with sql.database.read() as session:
        found = token_dates(session)
        assert [one.account_id for one in found] == [early, late]
        assert token_dates(session, portal_id=found[0].portal_id + 1) == []
    first = found[0]
    assert (first.kind, first.account_status, first.portal_status, first.version) == ("oauth", "ok", "active", 1)
    assert (first.access_expires_at, first.refresh_issued_at) == (clock.now() + timedelta(hours=1), clock.now())


def test_keys_rotate(sql: SqlSubject, clock: FakeClock):
    """Everything is encrypted with the first key, and the old one can go; pairs and versions stay."""
    accounts = [sql.add(grant(clock, f"{number}", refresh=number > 0)) for number in range(3)]
    new_key = Fernet.generate_key().decode()
    with sql.database.write() as session:
        assert rotate(session, Cipher([new_key, KEY])) == 3

    after = SqlTokenStore(sql.database, Cipher([new_key]))
    assert [after.load(account).access_token for account in accounts] == ["access 0", "access 1", "access 2"]
    assert [after.load(account).refresh_token for account in accounts] == [None, "refresh 1", "refresh 2"]
    assert {after.load(account).version for account in accounts} == {1}


def test_rotating_without_the_old_key_changes_nothing(sql: SqlSubject, clock: FakeClock):
    """All rows or none."""
    account = sql.add(grant(clock))
    wrong = Cipher([Fernet.generate_key().decode()])

    with pytest.raises(UsageError, match="B24SYNC_ENCRYPTION_KEYS"), sql.database.write() as session:
        rotate(session, wrong)

    assert sql.store.load(account).access_token == "access first"


def test_a_wrong_key_is_a_sentence(sql: SqlSubject, clock: FakeClock):
    """And the account is not condemned for it."""
    account = sql.add(grant(clock))
    other = SqlTokenStore(sql.database, Cipher([Fernet.generate_key().decode()]))

    with pytest.raises(UsageError, match="add that key to B24SYNC_ENCRYPTION_KEYS"):
        other.load(account)
    with sql.database.read() as session:
        assert session.scalars(select(Account.status).where(Account.id == account)).one() == "ok"
