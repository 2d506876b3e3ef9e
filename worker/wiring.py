"""The composition root: the one place where classes meet. Everything that needs another thing is given it here."""

import logging
import os
import socket
import threading
import uuid
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from functools import cached_property, partial

from worker.alerts import Alerter
from worker.bitrix24.auth import Auth
from worker.bitrix24.client import MAX_ATTEMPTS, Client
from worker.bitrix24.oauth import TokenServer
from worker.bitrix24.refresh import TokenKeeper
from worker.bitrix24.throttle import Throttle
from worker.bitrix24.transport import Sender, Transport
from worker.budget import Unlimited
from worker.clock import StopFlag, SystemClock
from worker.config import Settings, tick_period
from worker.connect import Authorizer, Connector, Registrar
from worker.storage import portals, schema, upkeep
from worker.storage.budget import SqlBudgetStore
from worker.storage.cipher import Cipher, KeyFile
from worker.storage.models import Account, Portal
from worker.storage.session import Database
from worker.storage.tokens import SqlTokenStore
from worker.storage.trouble import AWAY
from worker.sync.claims import Claims
from worker.sync.lease import LeaseKeeper
from worker.sync.plan import Intervals
from worker.sync.portal import PortalSync
from worker.sync.probe import Prober
from worker.sync.renewal import Renewal
from worker.sync.turn import SyncOptions

log = logging.getLogger(__name__)

MAX_ATTEMPTS_OF_PEOPLE = 2
"""Where somebody waits in front of a browser or a terminal."""


class Wiring:
    """The parts of one process, made when first asked for."""

    def __init__(self, settings: Settings, stop: StopFlag | None = None) -> None:
        self.settings = settings
        self.stop: StopFlag = stop or threading.Event()
        self.clock = SystemClock(self.stop)
        self._began = self.clock.monotonic()
        self.transport = Transport()
        self._owner = _name_of_process()

    @cached_property
    def database(self) -> Database:
        """The database, its schema not looked at yet."""
        return Database(self.settings.database_url, connections=self.settings.concurrency + 8)

    @cached_property
    def ready_database(self) -> Database:
        """The database with the schema this program needs. Raises SchemaError."""
        schema.ensure(self.database)
        return self.database

    @cached_property
    def cipher(self) -> Cipher:
        return Cipher(self.settings.encryption_keys or KeyFile(self.settings.key_file))

    @cached_property
    def token_store(self) -> SqlTokenStore:
        return SqlTokenStore(self.ready_database, self.cipher)

    @cached_property
    def token_keeper(self) -> TokenKeeper:
        return TokenKeeper(self.token_store, self.clock, self._owner, self.settings.token_margin)

    @cached_property
    def token_server(self) -> TokenServer | None:
        """The token server, None while the application's keys are not set."""
        settings = self.settings
        if settings.client_id is None or settings.client_secret is None:
            return None
        return TokenServer(
            self.transport,
            self.clock,
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            oauth_url=settings.oauth_url,
            redirect_uri=settings.redirect_uri,
            scope=settings.scope,
        )

    @cached_property
    def authorizer(self) -> Authorizer:
        return Authorizer(store=self.token_store, keeper=self.token_keeper, server=self.token_server)

    @cached_property
    def connector(self) -> Connector:
        return Connector(
            database=self.ready_database,
            registrar=Registrar(
                database=self.ready_database,
                token_store=self.token_store,
                client_for=self._first_client,
                clock=self.clock,
                probe=self.prober.try_probe,
            ),
            token_server=self.token_server,
            clock=self.clock,
            client_id=self.settings.client_id,
            redirect_uri=self.settings.redirect_uri,
            scope=self.settings.scope,
            oauth_url=self.settings.oauth_url,
        )

    @cached_property
    def lease_keeper(self) -> LeaseKeeper:
        return LeaseKeeper(self.ready_database, self.clock, self._owner)

    @cached_property
    def sync(self) -> PortalSync:
        settings = self.settings
        return PortalSync(
            database=self.ready_database,
            clock=self.clock,
            leases=self.lease_keeper,
            client_for=self.client_for,
            ways=self.prober.ways,
            intervals=Intervals(settings.sync_interval, settings.reconcile_interval, settings.full_interval),
            options=self.sync_options,
            stopping=self.stop.is_set,
        )

    @property
    def sync_options(self) -> SyncOptions:
        """What the settings say about a run."""
        settings = self.settings
        return SyncOptions(
            calendars=settings.calendars,
            past_days=settings.calendar_past_days,
            future_days=settings.calendar_future_days,
            max_delete_share=settings.max_delete_share,
            chains=settings.chains,
        )

    @cached_property
    def renewal(self) -> Renewal:
        settings = self.settings
        return Renewal(
            database=self.ready_database,
            keeper=self.token_keeper,
            asking=self.authorizer.asking,
            clock=self.clock,
            stopping=self.stop.is_set,
            tick=tick_period(settings.sync_interval),
            interval=settings.sync_interval,
            margin=settings.token_margin,
        )

    @cached_property
    def prober(self) -> Prober:
        once = partial(self.client_for, max_attempts=1)
        return Prober(database=self.ready_database, clock=self.clock, client_for=once)

    def client_for(
        self, portal: Portal, account: Account, *, max_attempts: int = MAX_ATTEMPTS, sender: Sender | None = None
    ) -> Client:
        """A client that acts as `account`; its calls go through `sender`, which is our transport unless told."""
        return Client(
            auth=self.authorizer.auth(portal, account),
            transport=sender or self.transport,
            throttle=Throttle(SqlBudgetStore(self.ready_database), self.clock, portal.id),
            clock=self.clock,
            on_moved=partial(self._moved, portal.id),
            max_attempts=max_attempts,
        )

    @property
    def message_life(self) -> float:
        """Seconds that a job's message is worth something: then the portal is claimed anew."""
        return max(10.0, self.settings.sync_interval.total_seconds() * 0.9)

    @cached_property
    def claims(self) -> Claims:
        life = timedelta(seconds=self.message_life)
        return Claims(self.ready_database, self.clock, life=life, sick_limit=max(1, self.settings.concurrency // 4))

    def claim_due(self) -> list[int]:
        """Mark portals that are due as enqueued and return them."""
        return [] if self.stop.is_set() else self.claims.take()

    def unclaim(self, portal_ids: Collection[int]) -> None:
        """Undo claims whose messages could not be sent."""
        self.claims.give_back(portal_ids)

    def renew_tokens(self) -> list[int]:
        """Renew what the next runs would meet expired; returns the accounts."""
        return self.renewal.run()

    @cached_property
    def alerter(self) -> Alerter | None:
        """None where no webhook is set."""
        webhook = self.settings.alert_webhook
        if webhook is None:
            return None
        return Alerter(
            database=self.ready_database,
            transport=self.transport,
            clock=self.clock,
            webhook=webhook,
            interval=self.settings.sync_interval,
            began=self._began,
        )

    def alert(self) -> None:
        """Post what is new to the alert webhook."""
        if self.alerter is not None:
            self.alerter.tick()

    def maintain(self) -> None:
        """Fold quiet runs, drop what is old."""
        upkeep.maintain(self.ready_database, self.clock, stopping=self.stop.is_set)

    def after_fork(self, **_signal: object) -> None:
        """A forked child must not use its parent's connections, nor hold leases under its name.

        HTTP sessions are kept by process anyway (`Transport`).
        """
        self.database.after_fork()
        self._owner = _name_of_process()
        for part in ("lease_keeper", "token_keeper", "authorizer", "sync"):  # made anew, with that name
            self.__dict__.pop(part, None)

    def close(self) -> None:
        """Give back what the process holds."""
        self.transport.close()
        if "lease_keeper" in self.__dict__:
            self.lease_keeper.stop()
        self._give_back_claims()
        if "database" in self.__dict__:
            self.database.dispose()

    def abandon(self) -> None:
        """Give back what the process holds although its threads are in the middle of it: it ends at once."""
        if "lease_keeper" in self.__dict__:
            self.lease_keeper.abandon()
        self._give_back_claims()

    def _give_back_claims(self) -> None:
        """Where messages die with the process; in a broker others take them."""
        if self.settings.broker_url is None and "claims" in self.__dict__:
            with suppress(*AWAY):
                self.claims.give_back()

    def _first_client(self, auth: Auth) -> Client:
        return Client(
            auth=auth,
            transport=self.transport,
            throttle=Throttle(Unlimited(), self.clock, 0),
            clock=self.clock,
            max_attempts=MAX_ATTEMPTS_OF_PEOPLE,
        )

    def _moved(self, portal_id: int, rest_url: str) -> None:
        """The portal was renamed: it is the same portal at a new address."""
        with self.ready_database.write() as session:
            portals.move_portal(session, portal_id, rest_url, rest_url)


def _name_of_process() -> str:
    """Who holds a lease: for people who look, and never the same twice."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
