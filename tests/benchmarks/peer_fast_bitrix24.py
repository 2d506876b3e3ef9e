"""The peer script on fast_bitrix24's `get_all`: python peer_fast_bitrix24.py WEBHOOK DATABASE_URL."""

import sys

from fast_bitrix24 import Bitrix
from peer_store import SELECT, store


def main(webhook: str, url: str) -> None:
    tasks = Bitrix(webhook, verbose=False).get_all("tasks.task.list", {"select": SELECT})
    print(store(tasks, url))


main(*sys.argv[1:])
