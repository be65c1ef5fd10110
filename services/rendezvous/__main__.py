"""`python -m rendezvous`: the same as `rendezvous`."""

import sys

from rendezvous.cli import main

sys.exit(main())
