//! What users of a bus call; built once over the trait.
//! (follow, fold, input)
