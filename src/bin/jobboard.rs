//! The command line of the board.
fn main() {}
