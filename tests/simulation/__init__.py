"""Both ends of the link on simulated time and a simulated network: one seed, one run."""
