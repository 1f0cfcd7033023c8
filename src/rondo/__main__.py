"""``python -m rondo`` is the command ``rondo``."""

import sys

from rondo.cli.main import main

sys.exit(main())
