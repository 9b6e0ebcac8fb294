"""The queue that log and trace plugins keep entries in until they are sent."""

from typing import Annotated, Literal

from twinplane.schema import Between, Record, Since


class Queue(Record):
    """How entries wait and are sent."""

    max_batch_size: Annotated[int | None, Between(1, 1000000), "Entries sent at once."] = 1
    max_coalescing_delay: Annotated[float | None, Between(0, 3600), "How long entries wait for others, in seconds."] = 1
    max_entries: Annotated[int | None, Between(1, 1000000), "Entries that may wait; the oldest go first."] = 10000
    max_bytes: Annotated[int | None, "Bytes that may wait."] = None
    max_retry_time: Annotated[float | None, "How long a batch is tried again, in seconds; -1: not at all."] = 60
    initial_retry_delay: Annotated[
        float | None, Between(0.001, 1000000), "Pause before the second try, in seconds; it doubles."
    ] = 0.01
    max_retry_delay: Annotated[float | None, Between(0.001, 1000000), "Longest pause between tries, in seconds."] = 60
    concurrency_limit: Annotated[
        Literal[-1, 1] | None, Since("3.8"), "Batches under way at once: 1, or -1 for no limit."
    ] = 1
