//! What a store does in one transaction.

/// What a store does in one transaction, as far as is known without asking: who runs etcd can set it
/// otherwise, and then the store refuses what is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many operations. A level counts the longest of its compares, `then` and `otherwise`, and
    /// a nested transaction counts on top of the level that it is in. Defaults to 128, etcd's
    /// default for `--max-txn-ops`.
    pub ops: usize,
    /// How many bytes, as they are sent. Defaults to 1.5 MiB, etcd's default for
    /// `--max-request-bytes`.
    pub bytes: usize,
    /// Whether it stays slow after many writes in a short time, so that it is better spared them.
    /// Defaults to `false`. etcd before 3.4.24 does: it copies a buffer for each read and compare,
    /// and that has grown with the largest burst and never shrinks ([etcd pull request 12933][fix]).
    ///
    /// [fix]: https://github.com/etcd-io/etcd/pull/12933
    pub slow_after_bursts: bool,
}

impl Limits {
    /// Those of an etcd that nobody has set otherwise.
    pub(crate) const OF_ETCD: Self = Self {
        ops: 128,
        bytes: 3 << 19,
        slow_after_bursts: false,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::OF_ETCD
    }
}
