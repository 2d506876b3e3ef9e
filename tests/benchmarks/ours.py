"""`b24sync` as its users start it, but trusting the certificate that was made for this measure."""

import os

import requests.adapters

from worker.cli import main

requests.adapters.DEFAULT_CA_BUNDLE_PATH = os.environ["REQUESTS_CA_BUNDLE"]
main()
