//! A set of small numbers.

/// Numbers below 256, in rising order. Larger ones cannot be held and are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits([u64; 4]);

impl Bits {
    /// All numbers from `first` to `last`, both included.
    pub(super) fn range(first: u16, last: u16) -> Self {
        let mut bits = Self::default();
        (first..=last).for_each(|number| bits.insert(number));
        bits
    }

    pub(super) fn insert(&mut self, number: u16) {
        if let Some(word) = self.0.get_mut(usize::from(number / 64)) {
            *word |= 1 << (number % 64);
        }
    }

    pub(super) fn contains(self, number: u16) -> bool {
        self.0
            .get(usize::from(number / 64))
            .is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    pub(super) fn intersection(self, other: Self) -> Self {
        Self(std::array::from_fn(|index| self.0[index] & other.0[index]))
    }

    /// The members that are not less than `first`.
    pub(super) fn from(self, first: u16) -> impl Iterator<Item = u16> {
        let mut next = first;
        std::iter::from_fn(move || {
            while next < 256 {
                let rest = self.0[usize::from(next / 64)] >> (next % 64);
                if rest == 0 {
                    next = (next / 64 + 1) * 64;
                    continue;
                }
                let found = next + rest.trailing_zeros() as u16;
                next = found + 1;
                return Some(found);
            }
            None
        })
    }
}
