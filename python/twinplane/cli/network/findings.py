"""What a check found: how it stands, what was seen, what to do. As text for people, as JSON for programs; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]

_SHOWN = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}
_WIDTH = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of one target. `advice` is empty where there is nothing to do."""

    target: str
    check: str
    status: Status
    seen: str
    advice: str = ""


def has_failed(findings: Iterable[Finding]) -> bool:
    """Whether anything keeps a node from working."""
    return any(finding.status == "fail" for finding in findings)


def as_text(findings: Sequence[Finding]) -> str:
    """One block for each target, one line for each check, and what to do below those that are not well."""
    lines: list[str] = []
    for target in dict.fromkeys(finding.target for finding in findings):
        lines.append(target)
        for finding in findings:
            if finding.target != target:
                continue
            lines.append(f"  {_SHOWN[finding.status]} {finding.check:{_WIDTH}} {printable(finding.seen)}".rstrip())
            if finding.advice:
                lines.append(f"       {'':{_WIDTH}} do: {printable(finding.advice)}")
    count = {status: sum(finding.status == status for finding in findings) for status in ("ok", "warn", "fail")}
    lines.append(f"{count['ok']} well, {count['warn']} to look at, {count['fail']} failed")
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """One object: whether all is well, and every finding."""
    document = {"ok": not has_failed(findings), "findings": [asdict(finding) for finding in findings]}
    return json.dumps(document, indent=2)


def printable(text: str) -> str:
    """Text of a peer on one line: what a terminal would act on is shown as an escape."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
