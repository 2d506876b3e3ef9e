"""An emulated portal in a process of its own: prints how to reach it, answers until its input ends."""

import json
import sys

from worker.emulator import Emulator, PortalSpec


def main() -> None:
    spec = PortalSpec(**json.loads(sys.argv[1]))
    with Emulator() as emulator:
        portal = emulator.add_portal(spec)
        how = {
            "B24SYNC_OAUTH_URL": emulator.auth_url,
            "B24SYNC_CLIENT_ID": portal.client_id,
            "B24SYNC_CLIENT_SECRET": portal.client_secret,
        }
        sys.stdout.write(json.dumps({"settings": how, "tokens": portal.issue_tokens(portal.admin_id)}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
