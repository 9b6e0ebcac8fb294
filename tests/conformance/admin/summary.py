"""`python -m tests.conformance.admin.summary [--write]`: what is answered otherwise than recorded, by cause.

With `--write`, entries of `known_differences.toml` that agree by now are taken out. New differences are printed and
have to be listed by hand, since only a reader knows their cause.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.conformance.admin.recording import cases
from tests.conformance.admin.replay import Difference
from tests.conformance.admin.test_replay import SUITE, differences
from tests.conformance.known_differences import FILE, known_differences
from tests.control_room import open_platform


async def found() -> dict[str, Difference]:
    """Every case that is answered otherwise."""
    with tempfile.TemporaryDirectory() as directory, open_platform(Path(directory)) as platform:
        return {case: difference async for case, difference in differences(platform, list(cases()))}


def take_out(agreeing: set[str]) -> None:
    """Remove cases from the list."""
    lines = FILE.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not ((match := re.fullmatch(r'\s+"([^"]+)",\n', line)) and match[1] in agreeing)]
    FILE.write_text("".join(kept), encoding="utf-8")


def main() -> int:
    """Print the summary."""
    different = asyncio.run(found())
    listed = known_differences(SUITE)
    total = sum(1 for _ in cases())
    print(f"{total - len(different)} of {total} cases agree ({1 - len(different) / total:.1%})")
    for cause, count in Counter(listed[case] for case in different if case in listed).most_common():
        print(f"  {count:4} {cause}")
    for case, difference in different.items():
        if case not in listed:
            print(f"  not listed: {case} step {difference.step}: {difference.request}\n      {difference.text}")
    agreeing = listed.keys() - different.keys()
    print(f"  listed, but agree: {len(agreeing)}")
    if "--write" in sys.argv[1:]:
        take_out(agreeing)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
