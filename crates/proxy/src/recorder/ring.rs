//! A bounded row of lines, kept as the bytes in which they leave. Full: the oldest go and are counted.
use std::collections::VecDeque;

/// Lines of one page; a page is what is dropped at once when the ring is full.
const PAGE_LINES: usize = 128;

/// Lines, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    lines_max: usize,
    pages: VecDeque<Page>,
    lines: usize,
    lost: u64,
}

#[derive(Debug, Default)]
struct Page {
    bytes: Vec<u8>,
    lines: usize,
}

impl Ring {
    /// Holds so many lines at most.
    pub(crate) fn new(lines_max: usize) -> Self {
        Self {
            lines_max,
            ..Self::default()
        }
    }

    /// Adds the line that `write` appends.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.lines_max == 0 {
            self.lost += 1;
            return;
        }
        if self
            .pages
            .back()
            .is_none_or(|page| page.lines == PAGE_LINES)
        {
            self.make_room();
            self.pages.push_back(Page::default());
        }
        if let Some(page) = self.pages.back_mut() {
            write(&mut page.bytes);
            page.lines += 1;
            self.lines += 1;
        }
    }

    fn make_room(&mut self) {
        while self.lines + PAGE_LINES > self.lines_max.max(PAGE_LINES) {
            let Some(oldest) = self.pages.pop_front() else {
                return;
            };
            self.lines -= oldest.lines;
            self.lost += u64::try_from(oldest.lines).unwrap_or(u64::MAX);
        }
    }

    /// Takes all lines away, page by page.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Vec<u8>> + use<> {
        self.lines = 0;
        std::mem::take(&mut self.pages)
            .into_iter()
            .map(|page| page.bytes)
    }

    /// Lines lost since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_go_and_are_counted() {
        let mut ring = Ring::new(300);
        for number in 0..1_000 {
            ring.push(|line| line.extend_from_slice(format!("{number}\n").as_bytes()));
        }
        let kept: Vec<u8> = ring.take().flatten().collect();
        let kept: Vec<u64> = String::from_utf8(kept)
            .unwrap()
            .lines()
            .map(|line| line.parse().unwrap())
            .collect();
        assert_eq!(*kept.last().unwrap(), 999);
        assert!(
            kept.len() <= 300 && kept.len() > 300 - PAGE_LINES,
            "{}",
            kept.len()
        );
        assert_eq!(ring.lost(), 1_000 - u64::try_from(kept.len()).unwrap());
        assert!(kept.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        assert_eq!(ring.take().count(), 0);
    }

    #[test]
    fn a_ring_for_nothing_loses_everything() {
        let mut ring = Ring::new(0);
        ring.push(|line| line.push(b'x'));
        assert_eq!((ring.take().count(), ring.lost()), (0, 1));
    }
}
