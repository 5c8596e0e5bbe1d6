//! The freeze of an application and the snapshot of all its volumes
