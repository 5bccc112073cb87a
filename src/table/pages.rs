//! A table's pages: one chain of all of them, changed under the heap's mutex (README: deaths).

use super::layout::{PageHeader, TableBody, Use, CONTENT_AT};
use super::section::Table;
use crate::arena::heap::{go_on, Content, Heap};
use crate::arena::layout::{BLOCK_HEADER, SLAB};
use crate::arena::tag::Kind;
use crate::arena::{Arena, Error, Result};
use crate::atomics::Ordering;

impl Table<'_> {
    /// Have a further page of so many bytes, its block's header included; nothing is in it yet.
    pub(super) fn new_page(&self, bytes: u64) -> Result<u64> {
        self.arena.heap(&mut go_on)?.add_page(self.body, bytes.min(SLAB))
    }

    /// A page's header, and how many words there are behind it; it must be a page, and in this use.
    pub(super) fn page(&self, offset: u64, is_for: Use) -> Result<(&'static PageHeader, usize)> {
        let size = self.arena.size_of_kind(offset, Kind::Page)?;
        let header: &PageHeader = self.arena.body(offset)?;
        if header.is_for.load(Ordering::Relaxed) != is_for as u64 {
            return Err(Error::Corrupt("a table's page is in another use"));
        }
        let content = (size + BLOCK_HEADER)
            .checked_sub(CONTENT_AT)
            .ok_or(Error::Corrupt("a table's page has no content"))?;
        Ok((header, content as usize / 8))
    }

    /// Free the pages that nothing is in any more.
    #[cold]
    pub(super) fn free_unused(&self) -> Result<()> {
        loop {
            let page = self.body.unused.load(Ordering::Relaxed);
            if page == 0 {
                return Ok(());
            }
            let (header, _) = self.page(page, Use::Nothing)?;
            self.body
                .unused
                .store(header.link.load(Ordering::Relaxed), Ordering::Release);
            self.arena.heap(&mut go_on)?.remove_page(self.body, page)?;
        }
    }
}

impl Heap<'_> {
    fn add_page(&self, body: &TableBody, bytes: u64) -> Result<u64> {
        let page = self.allocate(Kind::Page, bytes - BLOCK_HEADER, Content::Anything)?;
        let header: &PageHeader = self.arena.body(page)?;
        let first = body.pages.load(Ordering::Relaxed);
        header.next.store(first, Ordering::Relaxed);
        header.previous.store(0, Ordering::Relaxed);
        header.is_for.store(Use::Nothing as u64, Ordering::Relaxed);
        header.link.store(0, Ordering::Relaxed);
        body.pages.store(page, Ordering::Release);
        if first != 0 {
            self.arena.page_header(first)?.previous.store(page, Ordering::Relaxed);
        }
        Ok(page)
    }

    fn remove_page(&self, body: &TableBody, page: u64) -> Result<()> {
        let header = self.arena.page_header(page)?;
        let (next, previous) = (
            header.next.load(Ordering::Relaxed),
            header.previous.load(Ordering::Relaxed),
        );
        let link = match previous {
            0 => &body.pages,
            previous => &self.arena.page_header(previous)?.next,
        };
        if link.load(Ordering::Relaxed) != page {
            return Err(Error::Corrupt("a table's page is not where its chain is"));
        }
        link.store(next, Ordering::Release);
        if next != 0 {
            self.arena
                .page_header(next)?
                .previous
                .store(previous, Ordering::Relaxed);
        }
        self.free(page)
    }

    /// Free those pages of a table of which this holds.
    pub(super) fn free_pages_if(&self, body: &TableBody, goes: impl Fn(u64, &PageHeader) -> bool) -> Result<()> {
        for page in self.arena.pages_of(body)? {
            if goes(page, self.arena.page_header(page)?) {
                self.remove_page(body, page)?;
            }
        }
        Ok(())
    }

    /// Free all that a table has, which is no more.
    pub(crate) fn free_table(&self, table: u64) -> Result<()> {
        let body: &TableBody = self.arena.body(table)?;
        for page in self.arena.pages_of(body)? {
            self.free(page)?;
        }
        self.clear_chain(&body.references)
    }
}

impl Arena {
    fn page_header(&self, offset: u64) -> Result<&'static PageHeader> {
        self.size_of_kind(offset, Kind::Page)?;
        self.body(offset)
    }

    /// The pages of a table.
    pub(crate) fn pages_of(&self, body: &TableBody) -> Result<Vec<u64>> {
        let mut pages = Vec::new();
        let mut offset = body.pages.load(Ordering::Acquire);
        while offset != 0 {
            if pages.len() as u64 > self.slabs() * (SLAB / 512) {
                return Err(Error::Corrupt("a table's pages run in a circle"));
            }
            pages.push(offset);
            offset = self.page_header(offset)?.next.load(Ordering::Acquire);
        }
        Ok(pages)
    }

    /// How many keys or items a table has, and how many bytes: of its pages, and of the blocks that values lie in.
    pub(crate) fn content_of_table(&self, offset: u64) -> Result<(u64, u64)> {
        let body: &TableBody = self.body(offset)?;
        let mut bytes = 0u64;
        let mut add = |arena: &Self, offset| {
            bytes = bytes.saturating_add(arena.block(offset)?.size.load(Ordering::Relaxed));
            Ok(())
        };
        for page in self.pages_of(body)? {
            add(self, page)?;
        }
        self.each_reference_in(&body.references, add)?;
        Ok((body.count.load(Ordering::Relaxed), bytes))
    }

    /// The same after a death under the heap's mutex: the links backwards are made anew.
    pub(crate) fn put_pages_right(&self, body: &TableBody) -> Result<Vec<u64>> {
        let pages = self.pages_of(body)?;
        let mut previous = 0;
        for page in &pages {
            self.page_header(*page)?.previous.store(previous, Ordering::Relaxed);
            previous = *page;
        }
        Ok(pages)
    }
}
