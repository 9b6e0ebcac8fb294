"""What of a configuration is taken, and yet surely not meant.

Routes that nothing reaches, ranks that surprise, regexes that mean trouble elsewhere, plugins that never act.
"""

from twinplane.node.lint.findings import CODES, Finding
from twinplane.node.lint.whole import lint

__all__ = ["CODES", "Finding", "lint"]
