"""`python -m jaxnvc`: the command line."""

import sys

from jaxnvc.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
