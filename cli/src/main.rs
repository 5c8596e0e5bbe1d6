//! The command line of Stillpoint.

fn main() {}
