"""The peer script on b24pysdk's `call_list_fast`: python peer_b24pysdk.py WEBHOOK DATABASE_URL."""

import sys
from urllib.parse import urlsplit

from b24pysdk import BitrixWebhook
from peer_store import SELECT, store


def main(webhook: str, url: str) -> None:
    parts = urlsplit(webhook)
    token = BitrixWebhook(domain=parts.netloc, webhook_token=parts.path.removeprefix("/rest/").strip("/"))
    answer = token.call_list_fast("tasks.task.list", {"select": SELECT}, timeout=60)
    print(store(answer["result"], url))


main(*sys.argv[1:])
