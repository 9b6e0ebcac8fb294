//! The door to Python. Converts, delegates, decides nothing.
use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The compiled data plane of twinplane.
#[pymodule]
fn _dataplane(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
