//! A place in a channel's stream of messages.

/// How many messages came before, and how many units of 8 bytes they have. Both wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position(pub u64);

impl Position {
    fn new(number: u32, units: u32) -> Self {
        Self(u64::from(number) << 32 | u64::from(units))
    }

    /// Of the message that is here.
    #[must_use]
    pub fn number(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Where it is.
    #[must_use]
    pub fn units(self) -> u32 {
        self.0 as u32
    }

    /// The place behind a message of so many units.
    #[must_use]
    pub fn after(self, units: u32) -> Self {
        Self::new(self.number().wrapping_add(1), self.units().wrapping_add(units))
    }

    /// How many messages lie between an earlier place and this one.
    #[must_use]
    pub fn messages_since(self, earlier: Self) -> u32 {
        self.number().wrapping_sub(earlier.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_units_wrap_apart() {
        let last = Position::new(u32::MAX, u32::MAX);
        assert_eq!(last.after(3), Position::new(0, 2));
        assert_eq!(last.after(3).messages_since(last), 1);
    }
}
