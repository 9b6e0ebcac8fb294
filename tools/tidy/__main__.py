"""`python -m tools.tidy`: print every breach of a house rule and fail where there is one. `--loc` counts lines."""

from __future__ import annotations

import sys

from tools.tidy import cargo, lines, links, network_page, plugins, tree


def main() -> int:
    """Run every rule, or count lines."""
    if "--loc" in sys.argv[1:]:
        print(lines.table())
        return 0
    breaches = [breach for rule in (tree, cargo, plugins, lines, network_page, links) for breach in rule.breaches()]
    for breach in breaches:
        print(breach, file=sys.stderr)
    print(f"tidy: {len(breaches)} breaches")
    return 1 if breaches else 0


raise SystemExit(main())
