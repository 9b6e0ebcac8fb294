//! Targets as they are stored.

/// Port of a target that names none.
pub const TARGET_PORT: u16 = 8000;

/// Host and port of a target as stored: `host:port`, `[v6]:port`; the host comes without brackets.
pub fn parse_target(text: &str) -> (&str, u16) {
    let parts = text
        .rsplit_once(':')
        .filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let (host, port) = match parts {
        Some((host, port)) => (host, port.parse().unwrap_or(TARGET_PORT)),
        None => (text, TARGET_PORT),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_taken_apart() {
        for (text, wanted) in [
            ("10.0.0.1:80", ("10.0.0.1", 80)),
            ("orders.internal", ("orders.internal", 8000)),
            (
                "[0000:0000:0000:0000:0000:0000:0000:0001]:9",
                ("0000:0000:0000:0000:0000:0000:0000:0001", 9),
            ),
            ("[::1]", ("::1", 8000)),
            ("::1", ("::1", 8000)),
        ] {
            assert_eq!(parse_target(text), wanted);
        }
    }
}
