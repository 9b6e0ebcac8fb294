"""Traffic for the bookshop: several kinds of callers over kept connections, counted by what they were answered."""

from __future__ import annotations

import http.client
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

THREADS = 8
# (path, headers, how many of a hundred): open pages, a caller beyond its limit, a stranger, one without the group.
KINDS = (
    ("/catalogue", {}, 40),
    ("/catalogue/1?secret=query-secret", {}, 10),
    ("/orders", {"apikey": "ada-key"}, 20),
    ("/orders", {}, 10),
    ("/orders", {"apikey": "grace-key"}, 5),
    ("/books/1/reviews", {"apikey": "grace-key"}, 5),
    ("/inventory", {}, 5),
    ("/nowhere", {}, 5),
)


def drive(port: int, *, total: int) -> Counter[int]:
    """Statuses of `total` requests."""
    plan = [(path, headers) for path, headers, share in KINDS for _ in range(total * share // 100)]
    with ThreadPoolExecutor(THREADS) as pool:
        counted = pool.map(lambda part: _send(port, part), [plan[each::THREADS] for each in range(THREADS)])
    return sum(counted, Counter())


def _send(port: int, plan: list[tuple[str, dict[str, str]]]) -> Counter[int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    found: Counter[int] = Counter()
    for path, headers in plan:
        connection.request("GET", path, headers={**headers, "X-Traffic": "1"})
        answer = connection.getresponse()
        answer.read()
        found[answer.status] += 1
    connection.close()
    return found
