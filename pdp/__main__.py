"""The ``pdp`` command."""

from pdp.cli import main

if __name__ == "__main__":
    main()
