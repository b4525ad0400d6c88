//! A live view of a board, kept by a list and a watch.

mod change;
mod entry;
mod index;
mod unreadable;
