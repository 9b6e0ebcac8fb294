//! Plugins in Python as the engine sees them: builds them through the Python side of the host, queues requests for them,
//! and calls them on the threads that Python lends. One crossing a phase.
use std::any::Any;
use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use twinplane_engine::answer::Answer;
use twinplane_engine::filter::{Phase, Phases};
use twinplane_engine::plugin::{BuildError, PluginSpec};
use twinplane_engine::text::Text;
use twinplane_engine::visit::{Guest, Host, OnFailure, Verdict, Visit};
use twinplane_model::Plugin;

use crate::queue::{Counts, Overdue, Queue, Task};
use crate::view;

/// An entry of the log phase, and whose it is.
pub(crate) struct LogEntry {
    guest: Arc<dyn Any + Send + Sync>,
    entry: Vec<u8>,
}

/// A configured plugin: what Python has for each phase.
#[derive(Default)]
struct Built {
    rewrite: Option<Py<PyAny>>,
    access: Option<Py<PyAny>>,
    response: Option<Py<PyAny>>,
    header_filter: Option<Py<PyAny>>,
    body_filter: Option<Py<PyAny>>,
    log: Option<Py<PyAny>>,
}

/// The Python side: `PluginHost` of the room `node`.
pub(crate) struct PythonHost {
    host: Py<PyAny>,
    queue: Queue<LogEntry>,
}

impl std::fmt::Debug for PythonHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PythonHost").finish_non_exhaustive()
    }
}

impl PythonHost {
    pub(crate) fn new(host: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self {
            queue: Queue::new(
                host.getattr("calls_max")?.extract()?,
                host.getattr("log_entries_max")?.extract()?,
            ),
            host: host.clone().unbind(),
        })
    }

    /// The table of plugins, with those that Python brings in. It lives as long as the process, as names of plugins do.
    pub(crate) fn table(
        &self,
        py: Python<'_>,
        bundled: &'static [PluginSpec],
    ) -> PyResult<&'static [PluginSpec]> {
        let brought: Vec<(String, i32, String, bool)> =
            self.host.bind(py).getattr("plugins")?.extract()?;
        if brought.is_empty() {
            return Ok(bundled);
        }
        let mut table: Vec<PluginSpec> = bundled.to_vec();
        table.retain(|spec| !brought.iter().any(|(name, ..)| name == spec.name));
        for (name, priority, version, observes_only) in brought {
            table.push(twinplane_plugins::guest(
                name.leak(),
                priority,
                version.leak(),
                observes_only,
            ));
        }
        Ok(table.leak())
    }

    /// Works until the queue has stopped. `thread` is what Python calls the thread.
    pub(crate) fn run(&self, py: Python<'_>, thread: u64) -> PyResult<()> {
        loop {
            while let Some(visit) = self.queue.take_visit(thread) {
                self.call(py, thread, &visit);
            }
            let is_same = |a: &LogEntry, b: &LogEntry| Arc::ptr_eq(&a.guest, &b.guest);
            match py.detach(|| self.queue.wait(thread, is_same)) {
                None => return Ok(()),
                Some(Task::Visit(visit)) => self.call(py, thread, &visit),
                Some(Task::Log(batch)) => Self::log(py, &batch)?,
            }
            py.check_signals()?;
        }
    }

    /// Interrupts calls that outlast their time, until the queue has stopped.
    pub(crate) fn watch(&self, py: Python<'_>) -> PyResult<()> {
        while let Some(overdue) = py.detach(|| self.queue.watch()) {
            self.interrupt(py, &overdue)?;
        }
        Ok(())
    }

    /// Nothing more is taken in.
    pub(crate) fn stop(&self) {
        self.queue.stop();
    }

    pub(crate) fn counts(&self) -> Counts {
        self.queue.counts()
    }

    fn call(&self, py: Python<'_>, thread: u64, visit: &Arc<Visit>) {
        if !visit.is_over() {
            let called = Self::handler(visit)
                .ok_or_else(|| PyRuntimeError::new_err("the plugin has no such phase"))
                .and_then(|handler| {
                    let view = view::Visit::new(Arc::clone(visit));
                    handler.bind(py).call1((view,))
                });
            match called.and_then(|result| verdict(&result)) {
                Ok(Some(verdict)) => visit.finish(verdict),
                Ok(None) => {}
                Err(error) => {
                    let view = view::Visit::new(Arc::clone(visit));
                    // What cannot even be told costs the request all the same.
                    let _told = self.host.call_method1(py, "failed", (view, error));
                    visit.finish(Verdict::Failed);
                }
            }
        }
        if self.queue.ended(thread) {
            let _settled = self.host.call_method1(py, "settle", (thread,));
        }
    }

    fn handler(visit: &Visit) -> Option<&Py<PyAny>> {
        let built = visit.guest.handle.downcast_ref::<Built>()?;
        match visit.phase {
            Phase::Rewrite => built.rewrite.as_ref(),
            Phase::Access => built.access.as_ref(),
            Phase::Response => built.response.as_ref(),
            Phase::HeaderFilter => built.header_filter.as_ref(),
            Phase::BodyFilter => built.body_filter.as_ref(),
            Phase::Log => built.log.as_ref(),
            Phase::Upstream | Phase::Preread => None,
        }
    }

    fn log(py: Python<'_>, batch: &[LogEntry]) -> PyResult<()> {
        let handler = batch
            .first()
            .and_then(|first| first.guest.downcast_ref::<Built>())
            .and_then(|built| built.log.as_ref());
        if let Some(handler) = handler {
            let entries = batch.iter().map(|one| PyBytes::new(py, &one.entry));
            let entries = PyList::new(py, entries)?;
            // The Python side tells its own failures.
            handler.call1(py, (entries,))?;
        }
        Ok(())
    }

    fn interrupt(&self, py: Python<'_>, overdue: &[Overdue]) -> PyResult<()> {
        let interrupt = self.host.bind(py).getattr("interrupt")?;
        let late = self.host.bind(py).getattr("late")?;
        for one in overdue {
            self.queue.interrupt(*one, || {
                // Attached and in no bytecode of Python: the call cannot end meanwhile.
                interrupt.call1((one.thread, &late)).is_ok()
            });
        }
        Ok(())
    }
}

impl Host for PythonHost {
    fn build(&self, row: &Plugin) -> Result<Guest, BuildError> {
        Python::attach(|py| {
            let config = PyBytes::new(py, row.config.get().as_bytes());
            let built = self
                .host
                .bind(py)
                .call_method1("build", (&*row.name, config));
            let built = built.and_then(|built| guest(&built));
            built.map_err(|error| BuildError::Invalid(error.value(py).to_string()))
        })
    }

    fn enter(&self, visit: &Arc<Visit>) -> bool {
        self.queue.push(visit)
    }

    fn log(&self, guest: &Guest, entry: Vec<u8>) {
        self.queue.push_log(LogEntry {
            guest: Arc::clone(&guest.handle),
            entry,
        });
    }
}

/// A dictionary of a callable for each phase, and the rules of the plugin.
fn guest(built: &Bound<'_, PyAny>) -> PyResult<Guest> {
    let handlers = built.getattr("handlers")?;
    let handlers = handlers.cast::<PyDict>()?;
    let mut phases = Phases::NONE;
    let mut take = |name: &str, phase: Phases| -> PyResult<Option<Py<PyAny>>> {
        let found = handlers.get_item(name)?;
        if found.is_some() {
            phases = phases.and(phase);
        }
        Ok(found.map(Bound::unbind))
    };
    let handle = Built {
        rewrite: take("rewrite", Phases::REWRITE)?,
        access: take("access", Phases::ACCESS)?,
        response: take("response", Phases::RESPONSE)?,
        header_filter: take("header_filter", Phases::HEADER_FILTER)?,
        body_filter: take("body_filter", Phases::BODY_FILTER)?,
        log: take("log", Phases::LOG)?,
    };
    let fails_open: bool = built.getattr("fails_open")?.extract()?;
    Ok(Guest {
        handle: Arc::new(handle),
        phases,
        timeout_ms: built.getattr("timeout_ms")?.extract()?,
        on_failure: if fails_open {
            OnFailure::Pass
        } else {
            OnFailure::Refuse
        },
        body_bytes_max: built.getattr("body_bytes_max")?.extract()?,
        response_bytes_max: built.getattr("response_bytes_max")?.extract()?,
    })
}

/// What a call gave: nothing (go on), an answer `(status, body, headers)`, or True (the verdict comes later).
pub(crate) fn verdict(result: &Bound<'_, PyAny>) -> PyResult<Option<Verdict>> {
    if result.is_none() {
        return Ok(Some(Verdict::Continue));
    }
    let Ok(answer) = result.cast::<PyTuple>() else {
        return Ok(None);
    };
    let (status, body, headers): (u16, Option<Vec<u8>>, Vec<(String, String)>) =
        answer.extract()?;
    let mut answer = match body {
        None => Answer::empty(status),
        Some(body) => Answer::bytes(status, None, body),
    };
    for (name, value) in headers {
        answer.headers.append(
            Text::from(view::name_of(&name)?),
            Text::from(view::value_of(&value)?),
        );
    }
    Ok(Some(Verdict::Answer(answer)))
}
