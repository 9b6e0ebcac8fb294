"""How trace context goes from one service to the next, for plugins that trace."""

from typing import Annotated, Literal

from twinplane.schema import Record


class Propagation(Record):
    """How a trace goes from one service to the next."""

    extract: Annotated[
        list[Literal["ot", "w3c", "datadog", "b3", "gcp", "jaeger", "aws"]] | None,
        "Forms of headers that a trace is read from, in order.",
    ] = None
    clear: Annotated[list[str] | None, "Headers taken out after reading."] = None
    inject: Annotated[
        list[Literal["preserve", "ot", "w3c", "datadog", "b3", "gcp", "b3-single", "jaeger", "aws"]] | None,
        "Forms of headers that a trace is written in.",
    ] = None
    default_format: Annotated[
        Literal["ot", "w3c", "datadog", "b3", "gcp", "b3-single", "jaeger", "aws"],
        "Form that is written where none was read.",
    ]
