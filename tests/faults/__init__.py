"""Real planes under load, with faults: what happened is written down and held against the promises."""
