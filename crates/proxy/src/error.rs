//! What can go wrong before a request is there: at start, and when a configuration is applied. Data, worded for a log line.
use std::fmt;

/// The core cannot start; nothing stays open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError {
    /// Everything that is wrong.
    pub faults: Vec<String>,
}

impl StartError {
    /// With one fault.
    pub fn of(fault: impl Into<String>) -> Self {
        Self {
            faults: vec![fault.into()],
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("; "))
    }
}

impl std::error::Error for StartError {}
