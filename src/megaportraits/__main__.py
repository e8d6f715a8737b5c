"""`python -m megaportraits` is the command `megaportraits`."""

import sys

from megaportraits.cli import main

sys.exit(main())
