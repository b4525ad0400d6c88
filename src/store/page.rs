//! Reading a range page by page, all at one revision.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Content, ErrorKind, Header, KeyRange, KeyValue, RangeRequest, Result, Revision, Store,
};

/// How long a page that is not answered must have been waited for to be taken for too large.
const SLOW: Duration = Duration::from_secs(1);

/// No page is made smaller than this for that: it can be for another reason.
const SMALLEST: usize = 32;

/// A reader of a range in pages. All pages are of the revision of the first one, so that together
/// they are what one read would have given.
#[derive(Debug)]
pub struct Pager {
    rest: Option<KeyRange>,
    at: Option<Revision>,
    size: usize,
    content: Content,
}

/// One page of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a page is this")]
pub struct Page {
    /// Who answered. The revision of the header is the store's when it did.
    pub header: Header,
    /// The revision that was read, the same for all pages.
    pub at: Revision,
    /// The keys, in the order of their bytes.
    pub kvs: Vec<KeyValue>,
}

impl Pager {
    /// Reads `range` in pages of at most `size` keys.
    pub fn new(range: impl Into<KeyRange>, size: usize) -> Self {
        Self {
            rest: Some(range.into()),
            at: None,
            size: size.max(1),
            content: Content::Full,
        }
    }

    /// Leaves the values out.
    #[must_use]
    pub const fn keys_only(mut self) -> Self {
        self.content = Content::KeysOnly;
        self
    }

    /// Reads the next page; `None` after the last. The first page is always given, however empty.
    ///
    /// A page that is larger than what the client takes is asked for again at half the size. A
    /// failed page can be asked for again; one that was waited for in vain, for a second or more, is then half as
    /// large, as it may have been too much for the time that it had.
    ///
    /// # Errors
    /// [`Compacted`](ErrorKind::Compacted) if the revision of the first page was compacted
    /// meanwhile (start over); else what the store says.
    pub async fn next<S: Store + ?Sized>(&mut self, store: &S) -> Result<Option<Page>> {
        let Some(range) = self.rest.clone() else {
            return Ok(None);
        };
        let response = loop {
            let mut request = RangeRequest::new(range.clone()).limit(self.size);
            request.revision = self.at;
            request.content = self.content;
            let asked = Instant::now();
            match store.range(request).await {
                Err(error) if error.kind() == ErrorKind::TooLarge && self.size > 1 => {
                    self.size /= 2;
                }
                Err(error) => {
                    if error.kind() == ErrorKind::Unavailable && asked.elapsed() >= SLOW {
                        self.size = self.size.min(SMALLEST.max(self.size / 2));
                    }
                    return Err(error);
                }
                Ok(answer) => break answer,
            }
        };
        let at = *self.at.get_or_insert(response.header.revision);
        let more = response.count > response.kvs.len();
        let next = response
            .kvs
            .last()
            .filter(|_| more)
            .map(|last| last.key.successor());
        self.rest = next.and_then(|next| range.starting_at(next));
        Ok(Some(Page {
            header: response.header,
            at,
            kvs: response.kvs,
        }))
    }
}
