"""Records that several plugins hold: a queue, a Redis server, trace propagation, a language model."""
