//! Agents from a file.
