//! Laws of reading in pages.

use super::{Space, keys_of};
use crate::store::{Page, Pager, Store};

async fn all_pages(space: Space<'_>, size: usize) -> Vec<Page> {
    let mut reader = Pager::new(space.all(), size);
    let mut pages = Vec::new();
    while let Some(page) = reader.next(space.store).await.unwrap() {
        pages.push(page);
    }
    pages
}

/// Pages are of the revision of the first, whatever is written between them.
pub async fn pages_together_are_one_read_of_one_revision(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    for name in ["a", "c", "e", "g", "i"] {
        space.put(name, "old").await;
    }
    let mut pager = Pager::new(space.all(), 2);
    let first = pager.next(store).await.unwrap().unwrap();
    assert_eq!(keys_of(&first.kvs), space.keys(["a", "c"]));
    space.put("d", "new").await;
    space.put("g", "new").await;
    space.delete("e").await;
    let second = pager.next(store).await.unwrap().unwrap();
    assert_eq!(keys_of(&second.kvs), space.keys(["e", "g"]));
    space.put("j", "new").await;
    let third = pager.next(store).await.unwrap().unwrap();
    assert_eq!(keys_of(&third.kvs), space.keys(["i"]));
    assert_eq!(pager.next(store).await.unwrap(), None);
    assert!(second.kvs.iter().all(|kv| kv.value == "old"));
    assert_eq!((first.at, second.at), (third.at, third.at));
}

/// Pages of keys alone are those of the keys with their values.
pub async fn pages_can_leave_the_values_out(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    for name in ["a", "b", "c"] {
        space.put(name, "value").await;
    }
    let mut pager = Pager::new(space.all(), 2).keys_only();
    let mut kvs = Vec::new();
    while let Some(page) = pager.next(store).await.unwrap() {
        kvs.extend(page.kvs);
    }
    assert_eq!(keys_of(&kvs), space.keys(["a", "b", "c"]));
    assert!(kvs.iter().all(|kv| kv.value.is_empty()));
}

/// A page that ends with the last key is the last page.
pub async fn full_last_page_is_the_last(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    for name in ["a", "b", "c", "d"] {
        space.put(name, "").await;
    }
    let sizes = |pages: Vec<Page>| pages.iter().map(|page| page.kvs.len()).collect::<Vec<_>>();
    assert_eq!(sizes(all_pages(space, 1).await), [1, 1, 1, 1]);
    assert_eq!(sizes(all_pages(space, 2).await), [2, 2]);
    assert_eq!(sizes(all_pages(space, 3).await), [3, 1]);
    assert_eq!(sizes(all_pages(space, 4).await), [4]);
    assert_eq!(sizes(all_pages(space, 5).await), [4]);
}

/// A range without keys gives one page, so that its revision is known.
pub async fn empty_range_is_one_empty_page(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let before = space.header().await.revision;
    let pages = all_pages(space, 2).await;
    let [page] = &pages[..] else {
        panic!("one page, not {pages:?}");
    };
    assert!(page.kvs.is_empty() && page.at >= before);
}
