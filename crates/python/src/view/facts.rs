//! What is told of a request to plugins in Python: its facts by name, and entities of the configuration as dictionaries.
use pyo3::prelude::*;
use pyo3::types::PyDict;
use twinplane_engine::snapshot::{ConsumerEntry, RouteEntry, ServiceEntry};
use twinplane_engine::text::Text;
use twinplane_engine::visit::Parts;

use super::fields::latin;

/// A fact of the request or of the client by its name; none where there is no such fact.
pub(super) fn fact(parts: &Parts, started_us: u64, name: &str) -> Option<String> {
    let (request, client) = (&parts.request, &parts.client);
    let or_nothing = |text: Option<&Text>| latin(text.map_or(&b""[..], Text::as_bytes));
    Some(match name {
        "method" => latin(request.method.as_bytes()),
        "target" => latin(request.target.as_bytes()),
        "path" => latin(request.path.as_bytes()),
        "query" => or_nothing(request.query.as_ref()),
        "host" => latin(request.host.as_bytes()),
        "scheme" => client.scheme.as_str().to_owned(),
        "forwarded_scheme" => client.forwarded_scheme.as_str().to_owned(),
        "http_version" => client.http_version.as_str().to_owned(),
        "client_ip" => client.ip.to_string(),
        "client_port" => client.port.to_string(),
        "peer_ip" => client.peer.to_string(),
        "peer_port" => client.peer_port.to_string(),
        "is_trusted" => if client.is_trusted { "1" } else { "" }.to_owned(),
        "port" => client.listener_port.to_string(),
        "listener_ip" => client.listener_ip.to_string(),
        "sni" => client.sni.as_deref().unwrap_or_default().to_owned(),
        "tls_version" => client.tls_version.unwrap_or_default().to_owned(),
        "tls_cipher" => client.tls_cipher.unwrap_or_default().to_owned(),
        "prefix" => or_nothing(parts.matched.prefix.as_ref()),
        "started_us" => started_us.to_string(),
        "upstream_path" => latin(parts.upstream.path.as_bytes()),
        "upstream_scheme" => parts.upstream.scheme.as_str().to_owned(),
        "source" => parts.response.source.as_str().to_owned(),
        _ => return None,
    })
}

/// A consumer as a dictionary.
pub(super) fn consumer<'py>(
    py: Python<'py>,
    consumer: &ConsumerEntry,
) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("id", &*consumer.model.id)?;
    told.set_item("username", consumer.model.username.as_deref())?;
    told.set_item("custom_id", consumer.model.custom_id.as_deref())?;
    told.set_item("tags", tags(consumer.model.tags.as_ref()))?;
    let groups = consumer.groups.iter().map(|group| latin(group.as_bytes()));
    told.set_item("groups", groups.collect::<Vec<String>>())?;
    Ok(told)
}

fn tags(tags: Option<&Vec<Box<str>>>) -> Vec<&str> {
    tags.into_iter().flatten().map(|tag| &**tag).collect()
}

/// A route as a dictionary.
pub(super) fn route<'py>(py: Python<'py>, route: &RouteEntry) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("id", &*route.model.id)?;
    told.set_item("name", route.model.name.as_deref())?;
    told.set_item("tags", tags(route.model.tags.as_ref()))?;
    Ok(told)
}

/// A service as a dictionary.
pub(super) fn service<'py>(
    py: Python<'py>,
    service: &ServiceEntry,
) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("id", &*service.model.id)?;
    told.set_item("name", service.model.name.as_deref())?;
    told.set_item("protocol", &*service.model.protocol)?;
    told.set_item("host", &*service.model.host)?;
    told.set_item("port", service.model.port)?;
    told.set_item("path", service.model.path.as_deref())?;
    told.set_item("tags", tags(service.model.tags.as_ref()))?;
    Ok(told)
}
