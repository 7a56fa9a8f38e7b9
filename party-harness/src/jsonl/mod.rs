//! What the codecs of all runtimes read with: lines cut from bytes, values found in their text and not
//! built, and what was read already.

pub(crate) mod frame;
pub(crate) mod seen;
pub(crate) mod unescape;
pub(crate) mod view;
