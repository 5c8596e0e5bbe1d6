//! The stages put together: configuration, backups, restores
