//! HTTP/1 on the wire, both sides: strict scanning, framing, chunks, and what is written. Knows no socket and no request.
pub mod body;
pub mod chunked;
pub mod fault;
pub mod framing;
pub mod names;
pub mod output;
pub mod scan;
