//! Whether a plugin with a condition takes part in a request: asked once, at its turn, and kept for all later phases.
use crate::exchange::{Exchange, Request};
use crate::path;
use crate::plugin::PluginInstance;
use crate::router::MatchInput;

/// Whether the plugin at this index takes part.
pub(super) fn holds(x: &mut Exchange, plugin: u32, instance: &PluginInstance) -> bool {
    let Some(condition) = &instance.condition else {
        return true;
    };
    let mut decided = x.chain.decided.iter();
    if let Some((_, holds)) = decided.find(|(of, _)| *of == plugin) {
        return *holds;
    }
    let holds = with_input(x, |input| condition.holds(input));
    x.chain.decided.push((plugin, holds));
    holds
}

/// The part of a plugin's condition that a request does not satisfy, as it now is.
pub fn unmet<'a>(x: &Exchange, instance: &'a PluginInstance) -> Option<&'a str> {
    let condition = instance.condition.as_ref()?;
    with_input(x, |input| condition.lacks(input))
}

fn with_input<T>(x: &Exchange, ask: impl FnOnce(&MatchInput<'_>) -> T) -> T {
    let mut input = MatchInput::of(&x.request, &x.client);
    if let Some(stream) = &x.stream {
        input.protocol = stream.transport.protocol();
        return ask(&input);
    }
    if !input.path.is_empty() {
        return ask(&input);
    }
    // Before the route is looked for, the path is not yet in its normal form.
    let raw = raw_path(&x.request);
    let normal = path::normalise(raw);
    input.path = normal.as_deref().unwrap_or(raw);
    ask(&input)
}

fn raw_path(request: &Request) -> &[u8] {
    let target = request.target.as_bytes();
    memchr::memchr(b'?', target).map_or(target, |at| &target[..at])
}
