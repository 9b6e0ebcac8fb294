//! What a plugin in Python sees of a request: a view that reads when it is asked and records changes where the request
//! is. Converts, checks what it is given, decides nothing.
mod facts;
mod fields;

use std::sync::Arc;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyLookupError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use twinplane_engine::exchange::{CredentialRef, Scheme};
use twinplane_engine::text::Text;
use twinplane_engine::visit::{self, Parts, Verdict};

use crate::host;
use fields::{latin, pairs, side, side_mut};
pub(crate) use fields::{name_of, value_of};

create_exception!(
    _dataplane,
    VisitOver,
    PyException,
    "The request did not wait for the plugin any longer."
);

/// One request at one plugin in one phase.
#[pyclass(module = "twinplane._dataplane", frozen)]
pub(crate) struct Visit {
    visit: Arc<visit::Visit>,
}

impl Visit {
    pub(crate) fn new(visit: Arc<visit::Visit>) -> Self {
        Self { visit }
    }

    fn read<T>(&self, look: impl FnOnce(&Parts) -> T) -> PyResult<T> {
        self.visit.read(look).ok_or_else(over)
    }

    fn edit<T>(&self, change: impl FnOnce(&mut Parts) -> T) -> PyResult<T> {
        self.visit.edit(change).ok_or_else(over)
    }
}

fn over() -> PyErr {
    VisitOver::new_err("the request did not wait for the plugin any longer")
}

fn unknown() -> PyErr {
    PyLookupError::new_err("the configuration has no such consumer")
}

#[pymethods]
impl Visit {
    #[getter]
    fn request_id(&self) -> String {
        latin(self.visit.request_id.as_bytes())
    }

    #[getter]
    fn plugin(&self) -> &'static str {
        self.visit.plugin
    }

    #[getter]
    fn plugin_id(&self) -> &str {
        &self.visit.plugin_id
    }

    /// Whether the request waits no longer.
    #[getter]
    fn is_over(&self) -> bool {
        self.visit.is_over()
    }

    /// A fact of the request or of the client by its name.
    fn fact(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        let started_us = self.visit.started_wall_us;
        let text = self.read(|parts| facts::fact(parts, started_us, name))?;
        let text = text.ok_or_else(|| PyValueError::new_err(format!("no fact '{name}'")))?;
        Ok(PyString::new(py, &text).into_any().unbind())
    }

    /// The first value of a header, None where there is none.
    fn header(&self, is_response: bool, name: &str) -> PyResult<Option<String>> {
        self.read(|parts| side(parts, is_response).get(name).map(latin))
    }

    /// All values of a header.
    fn header_values(&self, is_response: bool, name: &str) -> PyResult<Vec<String>> {
        self.read(|parts| side(parts, is_response).get_all(name).map(latin).collect())
    }

    /// Name and value of each header.
    fn headers(&self, is_response: bool) -> PyResult<Vec<(String, String)>> {
        self.read(|parts| pairs(side(parts, is_response)))
    }

    /// Set the one value of a header.
    fn set_header(&self, is_response: bool, name: &str, value: &str) -> PyResult<()> {
        let (name, value) = (name_of(name)?, value_of(value)?);
        if !is_response && name.eq_ignore_ascii_case("host") {
            let host = Text::from(value);
            return self.edit(|parts| parts.upstream.host_header = Some(host));
        }
        self.edit(|parts| side_mut(parts, is_response).set(name, value))
    }

    /// Add a value beside those of the same name.
    fn add_header(&self, is_response: bool, name: &str, value: &str) -> PyResult<()> {
        let (name, value) = (name_of(name)?, value_of(value)?);
        self.edit(|parts| side_mut(parts, is_response).append(name, value))
    }

    /// Remove a header; says whether it was there.
    fn remove_header(&self, is_response: bool, name: &str) -> PyResult<bool> {
        let name = name_of(name)?;
        self.edit(|parts| side_mut(parts, is_response).remove(&name))
    }

    /// The body, None where it was not asked for; and whether it is whole.
    fn body<'py>(&self, py: Python<'py>) -> PyResult<(Option<Bound<'py, PyBytes>>, bool)> {
        let (body, is_whole) = self.read(|parts| {
            (
                parts.request.buffered.clone(),
                parts.request.is_buffered_whole,
            )
        })?;
        Ok((body.map(|body| PyBytes::new(py, &body)), is_whole))
    }

    /// The upstream's whole body, in the response phase; None in any other.
    fn response_body<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let body = self.read(|parts| parts.response.buffered.clone())?;
        Ok(body.map(|body| PyBytes::new(py, &body)))
    }

    /// Send another body to the client; in the response phase only.
    fn set_response_body(&self, body: Vec<u8>) -> PyResult<()> {
        let is_held = self.edit(|parts| {
            let held = parts.response.buffered.as_mut();
            held.map(|held| *held = body.into()).is_some()
        })?;
        if is_held {
            Ok(())
        } else {
            Err(PyValueError::new_err(
                "the body of a response can be replaced in the response phase only",
            ))
        }
    }

    /// Change what goes upstream: `method`, `path`, `query` (None: no query), `host`, `scheme`.
    fn set_upstream(&self, name: &str, value: Option<&str>) -> PyResult<()> {
        let bytes = value.map(value_of).transpose()?;
        let is_plain = |bytes: &Vec<u8>| bytes.iter().all(|byte| (0x21..0x7f).contains(byte));
        if bytes.as_ref().is_some_and(|bytes| !is_plain(bytes)) {
            return Err(PyValueError::new_err(format!(
                "the {name} must be written in visible ASCII characters"
            )));
        }
        let changed = self.edit(|parts| {
            let upstream = &mut parts.upstream;
            match (name, bytes) {
                ("method", Some(method)) => upstream.method = Some(Text::from(method)),
                ("path", Some(path)) if path.starts_with(b"/") => upstream.path = Text::from(path),
                ("scheme", Some(scheme)) if scheme == b"http" => upstream.scheme = Scheme::Http,
                ("scheme", Some(scheme)) if scheme == b"https" => upstream.scheme = Scheme::Https,
                ("host", Some(host)) => upstream.host_header = Some(Text::from(host)),
                ("query", query) => upstream.query = Some(query.map(Text::from)),
                _ => return false,
            }
            true
        })?;
        if changed {
            Ok(())
        } else {
            Err(PyValueError::new_err(format!(
                "'{}' is no {name}",
                value.unwrap_or("None")
            )))
        }
    }

    /// Send another body upstream.
    fn set_body(&self, body: Vec<u8>) -> PyResult<()> {
        self.edit(|parts| parts.upstream.body = Some(body.into()))
    }

    /// Send the request to another host and port than the service's.
    fn set_target(&self, host: &str, port: u16) -> PyResult<()> {
        self.edit(|parts| parts.upstream.target = Some((host.into(), port)))
    }

    #[getter]
    fn status(&self) -> PyResult<u16> {
        self.read(|parts| parts.response.status)
    }

    #[getter]
    fn upstream_status(&self) -> PyResult<Option<u16>> {
        self.read(|parts| parts.response.upstream_status)
    }

    /// Send another status to the client.
    fn set_status(&self, status: u16) -> PyResult<()> {
        if !(200..=599).contains(&status) {
            return Err(PyValueError::new_err(format!(
                "{status} is no final status"
            )));
        }
        self.edit(|parts| {
            parts.response.status = status;
            parts.response.reason = None;
        })
    }

    /// The piece of the body that is about to go, and whether it is the last one.
    fn chunk<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, bool)> {
        let (data, is_last) = self.read(|parts| {
            let chunk = parts.chunk.as_ref();
            chunk.map_or_else(Default::default, |chunk| {
                (chunk.data.clone(), chunk.is_last)
            })
        })?;
        Ok((PyBytes::new(py, &data), is_last))
    }

    /// Send this piece instead.
    fn set_chunk(&self, data: Vec<u8>) -> PyResult<()> {
        self.edit(|parts| {
            if let Some(chunk) = &mut parts.chunk {
                chunk.data = data.into();
            }
        })
    }

    /// The consumer as a dictionary, None where there is none.
    fn consumer<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let consumer = self.read(|parts| parts.consumer.clone())?;
        consumer
            .map(|consumer| facts::consumer(py, &consumer))
            .transpose()
    }

    /// A consumer of the configuration by `id`, `username` or `custom_id`, None where there is none.
    fn find_consumer<'py>(
        &self,
        py: Python<'py>,
        by: &str,
        value: &str,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let consumers = self.visit.consumers();
        let found = match by {
            "id" => consumers.by_id.get(value),
            "username" => consumers.by_username.get(value),
            "custom_id" => consumers.by_custom_id.get(value),
            _ => return Err(PyValueError::new_err(format!("no key '{by}' of consumers"))),
        };
        found
            .map(|consumer| facts::consumer(py, consumer))
            .transpose()
    }

    /// Recognise a consumer (by id), a credential (its id and what the upstream is told of it), or both.
    fn authenticate(
        &self,
        consumer: Option<&str>,
        credential: Option<(String, String)>,
        groups: Vec<String>,
    ) -> PyResult<()> {
        let consumer = consumer
            .map(|id| self.visit.consumers().by_id.get(id).ok_or_else(unknown))
            .transpose()?;
        let credential = credential
            .map(|(id, identifier)| {
                let used = CredentialRef {
                    id: id.into(),
                    kind: self.visit.plugin,
                };
                Ok::<_, PyErr>((used, Text::from(value_of(&identifier)?)))
            })
            .transpose()?;
        let groups = groups.into_iter();
        let groups = groups.map(|group| value_of(&group).map(Text::from));
        let groups: Vec<Text> = groups.collect::<PyResult<_>>()?;
        self.edit(|parts| {
            parts.caller().authenticate(consumer, credential);
            parts.authenticated_groups = groups;
        })
    }

    /// Go on as the consumer that stands for nobody, by id or username.
    fn authenticate_anonymous(&self, consumer: &str) -> PyResult<()> {
        let consumer = self.visit.consumers().find(consumer).ok_or_else(unknown)?;
        self.edit(|parts| parts.caller().authenticate_anonymous(consumer))
    }

    /// Forget whoever was recognised.
    fn forget_caller(&self) -> PyResult<()> {
        self.edit(|parts| parts.caller().clear())
    }

    /// Whether the consumer stands for nobody.
    #[getter]
    fn is_anonymous(&self) -> PyResult<bool> {
        self.read(|parts| parts.is_anonymous)
    }

    /// Kind and id of the credential that was used.
    fn credential(&self) -> PyResult<Option<(&'static str, String)>> {
        self.read(|parts| {
            let used = parts.credential.as_ref();
            used.map(|used| (used.kind, used.id.to_string()))
        })
    }

    /// The route as a dictionary.
    fn route<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let route = self.visit.route();
        route.map(|route| facts::route(py, route)).transpose()
    }

    /// The service as a dictionary.
    fn service<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let service = self.visit.service();
        service
            .map(|service| facts::service(py, service))
            .transpose()
    }

    /// Captures of the route's path by name and number.
    fn captures(&self) -> PyResult<Vec<(String, String)>> {
        self.read(|parts| {
            let captures = parts.matched.captures.iter();
            captures
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect()
        })
    }

    /// What the plugin kept in an earlier phase of this request.
    fn kept(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.read(|parts| {
            let kept = parts.kept.as_ref()?;
            kept.downcast_ref::<Py<PyAny>>()
                .map(|kept| kept.clone_ref(py))
        })
    }

    /// Keep an object for later phases of this request.
    fn keep(&self, kept: Py<PyAny>) -> PyResult<()> {
        let replaced = self.visit.edit_kept(Box::new(kept)).ok_or_else(over)?;
        drop(replaced);
        Ok(())
    }

    /// What plugins keep for each other in this request.
    fn shared(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.read(|parts| {
            let shared = parts.shared.as_ref()?;
            shared
                .downcast_ref::<Py<PyAny>>()
                .map(|shared| shared.clone_ref(py))
        })
    }

    /// Keep an object for all plugins of this request.
    fn share(&self, shared: Py<PyAny>) -> PyResult<()> {
        let replaced = self.visit.share(Box::new(shared)).ok_or_else(over)?;
        drop(replaced);
        Ok(())
    }

    /// The verdict of a call that said that it comes later: None to go on, else an answer.
    fn finish(&self, answer: &Bound<'_, PyAny>) -> PyResult<()> {
        let verdict = host::verdict(answer)?.unwrap_or(Verdict::Failed);
        self.visit.finish(verdict);
        Ok(())
    }

    /// The plugin broke.
    fn fail(&self) {
        self.visit.finish(Verdict::Failed);
    }

    /// There is no room for one more.
    fn refuse(&self) {
        self.visit.finish(Verdict::Refused);
    }
}
