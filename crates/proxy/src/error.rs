//! What can go wrong before a request is there: at start, and when a configuration is applied. Data, worded for a log line.
use std::fmt;

use serde::Serialize;
use twinplane_engine::snapshot::Fault;

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

/// A configuration cannot be served; the one before it still is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyError {
    /// Everything that is wrong.
    pub faults: Vec<ApplyFault>,
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApplyFault {
    /// Collection of the entity; none: the document itself.
    pub entity: Option<&'static str>,
    /// Id of the entity.
    pub id: Option<String>,
    /// A sentence for the operator.
    pub message: String,
}

impl ApplyError {
    /// The document itself cannot be read.
    pub fn unreadable(reason: impl fmt::Display) -> Self {
        let message = reason.to_string();
        Self {
            faults: vec![ApplyFault {
                entity: None,
                id: None,
                message,
            }],
        }
    }

    /// The faults as a JSON list.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.faults).unwrap_or_else(|_| "[]".to_owned())
    }
}

impl From<Vec<Fault>> for ApplyError {
    fn from(faults: Vec<Fault>) -> Self {
        let told = |fault: Fault| ApplyFault {
            entity: Some(fault.entity),
            id: Some(fault.id.to_string()),
            message: fault.message,
        };
        Self {
            faults: faults.into_iter().map(told).collect(),
        }
    }
}

impl fmt::Display for ApplyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.entity, &self.id) {
            (Some(entity), Some(id)) => write!(f, "{entity} {id}: {}", self.message),
            _ => f.write_str(&self.message),
        }
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        f.write_str(&all.join("; "))
    }
}

impl std::error::Error for ApplyError {}
