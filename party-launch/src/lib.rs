//! Parties for a host application.
