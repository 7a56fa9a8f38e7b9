//! placeholder
/// x
pub fn agrees() {}
