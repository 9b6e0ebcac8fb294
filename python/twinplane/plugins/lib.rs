//! What the bundled plugins written in Rust do to a request, one folder each.
mod table;

use twinplane_engine::plugin::PluginTable;

/// All bundled plugins, with or without behaviour on this node.
pub fn table() -> &'static PluginTable {
    &table::TABLE
}
