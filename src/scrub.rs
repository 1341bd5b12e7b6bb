//! Placeholder.

/// Finds injected secrets in a stream and replaces them by placeholders of the same length.
#[derive(Debug)]
pub struct Scrubber;
