//! Which items a slice means, as Python has it.

use super::read::Which;

/// A slice as it is written; `None` where nothing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The first one's number.
    pub start: Option<i64>,
    /// That of the one behind the last one.
    pub stop: Option<i64>,
    /// Not 0.
    pub step: i64,
}

impl Slice {
    /// The items of a list of so many.
    #[must_use]
    pub fn which(self, count: u64) -> Which {
        let length = i64::try_from(count).unwrap_or(i64::MAX);
        let goes_back = self.step < 0;
        let clamped = |index: i64| {
            let index = if index < 0 { index.saturating_add(length) } else { index };
            match goes_back {
                true => index.clamp(-1, length - 1),
                false => index.clamp(0, length),
            }
        };
        let start = self.start.map_or(if goes_back { length - 1 } else { 0 }, clamped);
        let stop = self.stop.map_or(if goes_back { -1 } else { length }, clamped);
        let distance = if goes_back { start - stop } else { stop - start };
        let number = match distance {
            ..=0 => 0,
            _ => (distance as u64).div_ceil(self.step.unsigned_abs()),
        };
        Which {
            start: start.max(0) as u64,
            step: self.step,
            number,
        }
    }
}

impl Which {
    /// The same items, from the one with the lowest index on: that index, and the step.
    #[must_use]
    pub fn ascending(self) -> (u64, u64) {
        let step = self.step.unsigned_abs();
        match self.step {
            ..0 => (self.start - step * self.number.saturating_sub(1), step),
            _ => (self.start, step),
        }
    }
}

/// The index that a number means, of so many items; `None` when there is none.
#[must_use]
pub fn index_of(number: i64, count: u64) -> Option<u64> {
    let index = match number {
        ..0 => count.checked_sub(number.unsigned_abs())?,
        _ => number as u64,
    };
    (index < count).then_some(index)
}

/// Before which item an insertion at a number comes, of so many.
#[must_use]
pub fn insertion_of(number: i64, count: u64) -> u64 {
    match number {
        ..0 => count.saturating_sub(number.unsigned_abs()),
        _ => (number as u64).min(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_means_what_it_means_in_python() {
        let slice = |start, stop, step| Slice { start, stop, step };
        let all = |slice: Slice, count| {
            let which = slice.which(count);
            (0..which.number as i64)
                .map(|index| which.start as i64 + index * which.step)
                .collect::<Vec<i64>>()
        };
        assert_eq!(all(slice(None, None, 1), 3), [0, 1, 2]);
        assert_eq!(all(slice(None, None, -1), 3), [2, 1, 0]);
        assert_eq!(all(slice(Some(-2), None, 1), 3), [1, 2]);
        assert_eq!(all(slice(Some(1), Some(100), 2), 6), [1, 3, 5]);
        assert_eq!(all(slice(Some(-1), Some(-100), -2), 6), [5, 3, 1]);
        assert_eq!(all(slice(Some(4), Some(1), -1), 6), [4, 3, 2]);
        assert_eq!(all(slice(Some(i64::MIN), Some(i64::MAX), i64::MAX), 6), [0]);
        assert_eq!(all(slice(Some(i64::MAX), Some(i64::MIN), i64::MIN), 6), [5]);
        for empty in [
            slice(Some(4), Some(2), 1),
            slice(Some(2), Some(4), -1),
            slice(Some(9), None, 1),
        ] {
            assert_eq!(all(empty, 6), [0; 0]);
        }
        assert_eq!(all(slice(None, None, -1), 0), [0; 0]);
        assert_eq!(slice(Some(3), Some(1), 1).which(6).start, 3);
        assert_eq!(slice(None, None, -2).which(6).ascending(), (1, 2));
        assert_eq!(slice(Some(1), None, 2).which(6).ascending(), (1, 2));
    }

    #[test]
    fn negative_numbers_count_from_the_end() {
        assert_eq!([-3, -1, 0, 2].map(|number| index_of(number, 3)), [0, 2, 0, 2].map(Some));
        assert_eq!([-4, 3, i64::MIN, i64::MAX].map(|number| index_of(number, 3)), [None; 4]);
        assert_eq!(
            [i64::MIN, -4, -1, 0, 2, 3, i64::MAX].map(|number| insertion_of(number, 3)),
            [0, 0, 2, 0, 2, 3, 3]
        );
    }
}
