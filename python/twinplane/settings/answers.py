"""The settings of a node about routing, and about what its clients see. A table, never code."""

from __future__ import annotations

from twinplane.settings.setting import LIST, PATH, SIZE, SWITCH, Setting, integer, one_of

ANSWERS: tuple[Setting, ...] = (
    Setting(
        "ambiguous_paths",
        one_of("refuse", "allow"),
        "refuse",
        "Paths with %2F, a backslash, ; and the like, which servers read differently, on routes that ask who calls.",
    ),
    Setting(
        "router_flavor",
        one_of("traditional_compatible", "expressions", "traditional"),
        "traditional_compatible",
        "How routes are written and ranked: by attributes as in Kong 3.x, by expressions, by attributes as in 2.x.",
    ),
    Setting(
        "route_match_calculation",
        one_of("original", "strict"),
        "original",
        "original: the priorities of Kong 3.x as they are; strict: as documented.",
    ),
    Setting(
        "status_explain",
        SWITCH,
        "off",
        "Whether `POST /explain` on the status port tells what would become of a request. It shows routes and plugins.",
    ),
    Setting(
        "headers", LIST, "server_tokens, latency_tokens, X-Kong-Request-Id", "Headers added to answers; off for none."
    ),
    Setting("headers_upstream", LIST, "X-Kong-Request-Id", "Headers added to requests on their way up; off for none."),
    Setting(
        "error_default_type",
        one_of("text/plain", "text/html", "application/json", "application/xml"),
        "text/plain",
        "Form of errors that are raised before a request is understood.",
    ),
    *(
        Setting(
            f"error_template_{form}",
            PATH,
            "",
            f"File with the form of errors as {media}: the first %s is the message, the second the request's id.",
        )
        for form, media in (
            ("html", "text/html"),
            ("json", "application/json"),
            ("xml", "application/xml"),
            ("plain", "text/plain"),
        )
    ),
    Setting(
        "allow_debug_header", SWITCH, "off", "Name route and service in answers to requests with a Kong-Debug header."
    ),
    Setting("mem_cache_size", SIZE, "128m", "Bytes of answers that proxy-cache keeps, all such plugins together."),
    Setting(
        "response_transformer_body",
        SIZE,
        "8m",
        "Longest JSON body of an answer that response-transformer changes; longer ones pass unchanged, counted.",
    ),
    Setting(
        "rate_limit_windows",
        integer(512, 100_000_000),
        "131072",
        "Windows of rate limits that a node keeps, one for each caller and period, those of `sync_rate` included; over "
        "that, one that is over goes, or else the least used of eight, counted.",
    ),
    Setting(
        "response_buffers_total",
        SIZE,
        "128m",
        "What may be read ahead of slow clients at a time, of all responses of the node; 0: nothing. Over that, "
        "upstreams wait for their clients, counted.",
    ),
    Setting(
        "rate_limit_redis_waiting",
        integer(1, 1_000_000),
        "1024",
        "Commands that wait for answers of one Redis that rate limits count in, for each worker; requests beyond that "
        "go on as if it could not be reached.",
    ),
    Setting(
        "client_body_min_rate",
        SIZE,
        "240",
        "Least pace of a request's body in bytes a second, from the tenth second of waiting on; 0 is no bound. "
        "A slower one is answered with 408. Routes of gRPC and those without request buffering are left out.",
    ),
    Setting(
        "lua_max_req_headers",
        integer(1, 1000),
        "100",
        "Fields of a request's head; more is answered with 400. Kong lets them pass and shows plugins the first ones.",
    ),
)
