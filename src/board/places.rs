//! Which place of the trash is tried next.

use crate::random::Random;

/// How many places of a number are tried one after the other.
const IN_ORDER: u64 = 3;

/// The place to try after the `copy`-th, which is taken: after the first few any, drawn by chance. Who
/// has filled very many must not make each move into the trash take a request for each of them.
pub(super) fn after(copy: u64, random: &Random) -> u64 {
    let next = copy.saturating_add(1);
    if next < IN_ORDER {
        next
    } else {
        random.number()
    }
}
