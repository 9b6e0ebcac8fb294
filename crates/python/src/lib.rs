//! The door to Python: the verbs of one class. Converts, delegates, decides nothing.
mod host;
mod queue;
mod view;

use std::sync::Arc;
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use twinplane_engine::visit::Host;
use twinplane_proxy::drain::Kind;
use twinplane_proxy::server::{Issue, Server};

use crate::host::PythonHost;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

create_exception!(
    _dataplane,
    StartError,
    PyException,
    "The core cannot start; `args[0]` lists everything that is wrong."
);
create_exception!(
    _dataplane,
    ApplyError,
    PyException,
    "The configuration cannot be served; `args[0]` lists the faults as JSON."
);

/// A running data plane.
#[pyclass(module = "twinplane._dataplane", frozen)]
struct Core {
    server: Server,
    host: Option<Arc<PythonHost>>,
}

/// What came of a configuration that is now in force.
#[pyclass(module = "twinplane._dataplane", frozen, get_all)]
struct Applied {
    issues: Vec<Py<PyDict>>,
    routes: usize,
    took_us: u64,
}

/// How the core is, at this moment.
#[pyclass(module = "twinplane._dataplane", frozen, get_all)]
struct Status {
    listeners: Vec<(String, u16, bool)>,
    stream_listeners: Vec<(String, u16, bool, bool)>,
    workers: usize,
    connections_active: u64,
    requests_total: u64,
    snapshot_ready: bool,
    snapshots_total: u64,
    routes: usize,
    services: usize,
    invariant_broken: u64,
    issues: Vec<Py<PyDict>>,
}

#[pymethods]
impl Core {
    /// Start the workers; nothing stays open where this raises.
    #[staticmethod]
    #[pyo3(signature = (settings, payload=None, host=None))]
    fn start(
        py: Python<'_>,
        settings: &[u8],
        payload: Option<&[u8]>,
        host: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let host = host.map(PythonHost::new).transpose()?.map(Arc::new);
        let mut table = twinplane_plugins::table();
        if let Some(host) = &host {
            table = host.table(py, table)?;
        }
        let given = host.clone().map(|host| host as Arc<dyn Host>);
        let started = py.detach(|| Server::start_with_host(settings, payload, table, given));
        let server = started.map_err(|error| StartError::new_err((error.faults,)))?;
        Ok(Self { server, host })
    }

    /// Lend the calling thread to plugins in Python, until the core has stopped and nothing waits for them.
    fn run_plugins(&self, py: Python<'_>, thread: u64) -> PyResult<()> {
        match &self.host {
            Some(host) => host.run(py, thread),
            None => Ok(()),
        }
    }

    /// Lend the calling thread to watching over calls of plugins in Python, as long.
    fn watch_plugins(&self, py: Python<'_>) -> PyResult<()> {
        match &self.host {
            Some(host) => host.watch(py),
            None => Ok(()),
        }
    }

    /// How plugins in Python fare.
    fn plugin_counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let told = PyDict::new(py);
        if let Some(host) = &self.host {
            let counts = host.counts();
            told.set_item("waiting", counts.waiting)?;
            told.set_item("busy", counts.busy)?;
            told.set_item("refused", counts.refused)?;
            told.set_item("interrupted", counts.interrupted)?;
            told.set_item("log_entries_waiting", counts.logs_waiting)?;
            told.set_item("log_entries_lost", counts.logs_lost)?;
        }
        Ok(told)
    }

    /// Put a configuration in force; where this raises, the one before still serves.
    fn apply(&self, py: Python<'_>, payload: &[u8]) -> PyResult<Applied> {
        let applied = py.detach(|| self.server.apply(payload));
        let applied = applied.map_err(|error| ApplyError::new_err((error.to_json(),)))?;
        Ok(Applied {
            issues: told(py, &applied.issues)?,
            routes: applied.routes,
            took_us: applied.took_us,
        })
    }

    /// Serve other default certificates; where this raises, those before stay.
    fn renew(&self, py: Python<'_>, certificates: &[u8]) -> PyResult<()> {
        py.detach(|| self.server.renew(certificates))
            .map_err(|error| StartError::new_err((error.faults,)))
    }

    /// Serve by other settings from the next request and connection on; where this raises, those before stay.
    fn adopt(&self, py: Python<'_>, settings: &[u8]) -> PyResult<()> {
        py.detach(|| self.server.adopt(settings))
            .map_err(|error| StartError::new_err((error.faults,)))
    }

    /// Take into account what probes saw of targets, or what people want of them; how many peers it was about.
    fn judge(&self, py: Python<'_>, judgements: &[u8]) -> PyResult<usize> {
        py.detach(|| self.server.judge(judgements))
            .map_err(PyValueError::new_err)
    }

    /// Look into what proxy-cache keeps, or forget of it: `"clear"`, `{"find": key}` or `{"forget": key}`, JSON out.
    fn kept_answers<'py>(&self, py: Python<'py>, wanted: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let told = py.detach(|| self.server.kept_answers(wanted));
        Ok(PyBytes::new(py, &told.map_err(PyValueError::new_err)?))
    }

    /// Tell what would become of a request: a JSON object in, one out.
    fn explain<'py>(&self, py: Python<'py>, question: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let told = py.detach(|| self.server.explain(question));
        Ok(PyBytes::new(py, &told.map_err(PyValueError::new_err)?))
    }

    /// Take away what has gathered: "records", "usage", "logs" as JSON lines, "metrics" as one JSON object, "probes",
    /// "health", "troubles" and "upstreams" as JSON lists.
    fn drain<'py>(&self, py: Python<'py>, kind: &str) -> PyResult<Bound<'py, PyBytes>> {
        let kind: Kind = kind.parse().map_err(PyValueError::new_err)?;
        let drained = py.detach(|| self.server.drain(kind));
        Ok(PyBytes::new(py, &drained))
    }

    /// How the core is.
    fn status(&self, py: Python<'_>) -> PyResult<Status> {
        let status = self.server.status();
        let (streams, listeners): (Vec<_>, Vec<_>) =
            status.listeners.into_iter().partition(|open| open.stream);
        let listeners = listeners
            .into_iter()
            .map(|open| (open.address, open.port, open.tls));
        let streams = streams
            .into_iter()
            .map(|open| (open.address, open.port, open.tls, open.udp));
        Ok(Status {
            listeners: listeners.collect(),
            stream_listeners: streams.collect(),
            workers: status.workers,
            connections_active: status.connections_active,
            requests_total: status.requests_total,
            snapshot_ready: status.snapshot_ready,
            snapshots_total: status.snapshots_total,
            routes: status.routes,
            services: status.services,
            invariant_broken: status.invariant_broken,
            issues: told(py, &status.issues)?,
        })
    }

    /// Take no more connections, finish what is under way within the grace, cut the rest.
    fn stop(&self, py: Python<'_>, grace_ms: u64) {
        py.detach(|| self.server.stop(Duration::from_millis(grace_ms)));
        if let Some(host) = &self.host {
            host.stop();
        }
    }
}

/// Issues as Python sees them.
fn told(py: Python<'_>, issues: &[Issue]) -> PyResult<Vec<Py<PyDict>>> {
    let told = issues.iter().map(|issue| {
        let told = PyDict::new(py);
        told.set_item("plugin_id", &*issue.plugin_id)?;
        told.set_item("plugin", &issue.plugin)?;
        told.set_item("code", issue.code)?;
        told.set_item("message", &issue.message)?;
        Ok(told.unbind())
    });
    told.collect()
}

/// The compiled data plane of twinplane.
#[pymodule]
fn _dataplane(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Core>()?;
    module.add_class::<Applied>()?;
    module.add_class::<Status>()?;
    module.add_class::<view::Visit>()?;
    module.add("VisitOver", module.py().get_type::<view::VisitOver>())?;
    module.add("StartError", module.py().get_type::<StartError>())?;
    module.add("ApplyError", module.py().get_type::<ApplyError>())
}
