//! Parties for a host application.

mod persona;

pub use persona::{Persona, PersonaError, PersonaErrorKind, PersonaRole, Roster};
