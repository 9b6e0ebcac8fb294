"""Router expressions: whether one is well formed."""


def bad_expression(_text: str, *, stream: bool) -> str | None:
    """What is wrong with an expression, or None."""
    return None if not stream else None
