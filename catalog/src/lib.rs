//! The local database of applications, restore points and runs
