//! The fields that expressions may name, and of which type they are.
use super::Subsystem;

/// A property of a request or a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Method,
    Host,
    Path,
    Protocol,
    Sni,
    /// By folded name: lower case, `-` for `_`.
    Header(Box<str>),
    Query(Box<str>),
    /// Segments of the path from one number to another, both counted, joined by `/`.
    Segments(usize, usize),
    /// A range of segments that there can never be.
    NoSegments,
    SegmentCount,
    SourceAddress,
    SourcePort,
    DestinationAddress,
    DestinationPort,
}

/// What values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Address,
}

const SEGMENTS: &str = "http.path.segments.";

impl Field {
    /// The field of this name.
    pub(super) fn named(name: &str, subsystem: Subsystem) -> Result<Self, &'static str> {
        const UNKNOWN: &str = "there is no such field";
        let connection = match name {
            "net.protocol" => Some(Self::Protocol),
            "tls.sni" => Some(Self::Sni),
            "net.src.ip" => Some(Self::SourceAddress),
            "net.src.port" => Some(Self::SourcePort),
            "net.dst.ip" => Some(Self::DestinationAddress),
            "net.dst.port" | "net.port" => Some(Self::DestinationPort),
            _ => None,
        };
        if let Some(field) = connection {
            return Ok(field);
        }
        if subsystem == Subsystem::Stream {
            return Err(UNKNOWN);
        }
        if let Some(header) = name.strip_prefix("http.headers.") {
            let folded = header.to_ascii_lowercase().replace('_', "-");
            return Ok(Self::Header(folded.into()));
        }
        if let Some(query) = name.strip_prefix("http.queries.") {
            return Ok(Self::Query(query.into()));
        }
        match name {
            "http.method" => Ok(Self::Method),
            "http.host" => Ok(Self::Host),
            "http.path" => Ok(Self::Path),
            "http.path.segments.len" => Ok(Self::SegmentCount),
            // Control planes refuse a range that makes no sense; nodes take it as one that no path has.
            _ => match name.strip_prefix(SEGMENTS) {
                Some(range) => Ok(segments(range).unwrap_or(Self::NoSegments)),
                None => Err(UNKNOWN),
            },
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::SegmentCount | Self::SourcePort | Self::DestinationPort => Kind::Number,
            Self::SourceAddress | Self::DestinationAddress => Kind::Address,
            _ => Kind::Text,
        }
    }
}

fn segments(range: &str) -> Option<Field> {
    let (first, last) = match range.split_once('_') {
        Some((first, last)) => (first, Some(last)),
        None => (range, None),
    };
    let first_number = number(first)?;
    match last.map(number) {
        None => Some(Field::Segments(first_number, first_number)),
        Some(Some(last)) if first_number < last => Some(Field::Segments(first_number, last)),
        Some(_) => None,
    }
}

fn number(digits: &str) -> Option<usize> {
    let is_plain = digits.bytes().all(|digit| digit.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'));
    if is_plain { digits.parse().ok() } else { None }
}
