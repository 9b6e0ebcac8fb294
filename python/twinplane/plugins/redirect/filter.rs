//! redirect: sends every client to another address, with or without the path it asked for.
use std::sync::Arc;

use serde_json::value::RawValue;
use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Filter, Flow, Phases};
use twinplane_engine::path;
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_engine::text::Text;

use super::config::Config;

struct Redirect {
    status: u16,
    location: Location,
}

enum Location {
    Fixed(Text),
    /// Scheme and authority; path and query are the request's.
    Base(Box<str>),
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    if config.status_code < 200 {
        return Err(BuildError::Unavailable(format!(
            "its status_code {} never ends a request",
            config.status_code
        )));
    }
    let location = if config.keep_incoming_path.unwrap_or_default() {
        Location::Base(origin(&config.location).into())
    } else {
        Location::Fixed(Text::copy_from(config.location.as_bytes()))
    };
    Ok(Arc::new(Redirect {
        status: config.status_code,
        location,
    }))
}

// What comes before the path of an address: `https://name:8443`.
fn origin(location: &str) -> &str {
    let start = location.find("://").map_or(0, |at| at + 3);
    let end = location[start..].find(['/', '?', '#']);
    end.map_or(location, |at| &location[..start + at])
}

impl Location {
    fn of(&self, x: &Exchange) -> Text {
        let base = match self {
            Self::Fixed(location) => return location.clone(),
            Self::Base(base) => base,
        };
        let mut location = [base.as_bytes(), &path::escape(x.request.path.as_bytes())].concat();
        if let Some(query) = &x.request.query {
            location.push(b'?');
            location.extend_from_slice(query.as_bytes());
        }
        Text::from(location)
    }
}

impl Filter for Redirect {
    fn phases(&self) -> Phases {
        Phases::ACCESS
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        let answer = Answer::bytes(self.status, None, "redirecting");
        Flow::Answer(answer.with("Location", self.location.of(x)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_ends_before_path_and_query() {
        for (location, wanted) in [
            ("https://n.com/base?z=1", "https://n.com"),
            ("http://n.com:8080", "http://n.com:8080"),
            ("http://[::1]:80/x", "http://[::1]:80"),
            ("https://n.com?x=/", "https://n.com"),
        ] {
            assert_eq!(origin(location), wanted);
        }
    }
}
