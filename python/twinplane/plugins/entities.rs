//! Entities as plugins show them in logs and echoes: what is unset is left out, references are objects.
use serde::Serialize;
use serde_json::{Value, json};
use twinplane_model::{Consumer, Route, Service};

/// The one workspace of a node.
pub(crate) const WORKSPACE_ID: &str = "0dc6f45b-8f8d-40d2-a504-473544ee190b";
/// Its name.
pub(crate) const WORKSPACE_NAME: &str = "default";

/// A route.
pub(crate) fn route(row: &Route) -> Value {
    shown(row, &["service"], true)
}

/// A service.
pub(crate) fn service(row: &Service) -> Value {
    shown(row, &["client_certificate"], true)
}

/// A consumer.
pub(crate) fn consumer(row: &Consumer) -> Value {
    shown(row, &[], false)
}

fn shown(row: &impl Serialize, references: &[&str], has_workspace: bool) -> Value {
    let mut value = serde_json::to_value(row).unwrap_or_default();
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
        for name in references {
            if let Some(reference) = members.get_mut(*name) {
                *reference = json!({ "id": reference.take() });
            }
        }
        if has_workspace {
            members.insert("ws_id".to_owned(), WORKSPACE_ID.into());
        }
    }
    value
}
