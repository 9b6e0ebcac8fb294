"""`python -m twinplane`: the same program as the `twinplane` command."""

from twinplane.cli import main

raise SystemExit(main())
