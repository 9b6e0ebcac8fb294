//! Windows of the calendar (UTC): when they begin, and how long they last.

/// A calendar window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// From second to second.
    Second,
    /// From minute to minute.
    Minute,
    /// From hour to hour.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From the first of a month.
    Month,
    /// From the first of January.
    Year,
}

impl Period {
    /// All of them, shortest first.
    pub const ALL: [Period; 6] = [
        Self::Second,
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Month,
        Self::Year,
    ];

    /// Its length as limits tell it to clients: a month has 30 days, a year 365.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Month => 2_592_000,
            Self::Year => 31_536_000,
        }
    }

    // The most a window of this kind can last.
    pub(super) const fn seconds_max(self) -> u64 {
        match self {
            Self::Month => 31 * 86_400,
            Self::Year => 366 * 86_400,
            _ => self.seconds(),
        }
    }

    /// Its name, as settings have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Second since the epoch at which the window around `second` began.
    pub fn start(self, second: u64) -> u64 {
        let day = second / 86_400;
        match self {
            Self::Month | Self::Year => {
                let (year, month) = civil(day);
                let month = if self == Self::Year { 1 } else { month };
                days_to(year, month) * 86_400
            }
            _ => second - second % self.seconds(),
        }
    }
}

// Year and month of a day since the epoch, proleptic Gregorian; years counted from March (Hinnant's algorithm).
fn civil(day: u64) -> (u64, u64) {
    let day = day + 719_468;
    let era = day / 146_097;
    let of_era = day % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month)
}

// The reverse, for the first of a month.
fn days_to(year: u64, month: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5;
    (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year) - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn windows_begin_where_the_calendar_says() {
        // 2024-02-29 12:34:56 UTC, a leap day
        let second = 1_709_210_096;
        assert_eq!(Period::Minute.start(second), second - 56);
        assert_eq!(Period::Day.start(second), 19_782 * DAY);
        assert_eq!(Period::Month.start(second), 1_706_745_600);
        assert_eq!(Period::Year.start(second), 1_704_067_200);
        assert_eq!(Period::Month.start(0), 0);
        assert_eq!(Period::Year.start(946_684_799), 915_148_800);
        for day in 0..40_000 {
            let (year, month) = civil(day);
            assert!(days_to(year, month) <= day && day - days_to(year, month) < 31);
        }
    }
}
