//! A restore point becomes files again
