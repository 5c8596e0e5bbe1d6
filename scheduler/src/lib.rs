//! When a policy runs
