//! Numbers for people: rates, times.

use crate::framework::{IoTotals, Latency};
use serde::Serialize;
use std::time::Duration;

/// What happened per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Reads.
    pub reads: f64,
    /// Writes.
    pub writes: f64,
    /// Megabytes read and written.
    pub read_mb: f64,
    pub write_mb: f64,
    /// Of one command, on average; `None`: there was none.
    pub ms: Option<f64>,
}

impl Rates {
    /// Of totals that were counted in this time; `None`: in no time.
    pub fn of(io: &IoTotals, time: Duration) -> Option<Rates> {
        let seconds = time.as_secs_f64();
        let per_second = |count: u64| to_float(count) / seconds;
        let commands = io.read_ops + io.write_ops;
        (seconds > 0.0).then(|| Rates {
            reads: per_second(io.read_ops),
            writes: per_second(io.write_ops),
            read_mb: per_second(io.read_bytes) / 1e6,
            write_mb: per_second(io.write_bytes) / 1e6,
            ms: (commands > 0).then(|| to_float(io.busy_ns) / to_float(commands) / 1e6),
        })
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with three digits")]
fn to_float(count: u64) -> f64 {
    count as f64
}

/// How long commands took; `None`: there were none, or it has no bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Percentiles {
    pub p50_ns: Option<u64>,
    pub p90_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub max_ns: Option<u64>,
}

impl From<&Latency> for Percentiles {
    fn from(latency: &Latency) -> Percentiles {
        Percentiles {
            p50_ns: latency.percentile(50),
            p90_ns: latency.percentile(90),
            p99_ns: latency.percentile(99),
            max_ns: latency.percentile(100),
        }
    }
}

/// `950`, `18.2k`, `1.5M`: three digits.
pub fn short(value: f64) -> String {
    match value {
        value if value < 9.95 => format!("{value:.1}"),
        value if value < 999.5 => format!("{value:.0}"),
        value if value < 999_500.0 => format!("{:.1}k", value / 1e3),
        value => format!("{:.1}M", value / 1e6),
    }
}

/// Milliseconds.
pub fn ms(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |ms| format!("{ms:.2}"))
}

/// The same from nanoseconds.
pub fn ns(value: Option<u64>) -> String {
    ms(value.map(|ns| to_float(ns) / 1e6))
}

/// `12d 4h`, `4h 5m`, `5m 3s`, `3s`.
pub fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            [0.0, 9.94, 31.4, 999.0, 18_234.0, 1.52e6].map(short),
            ["0.0", "9.9", "31", "999", "18.2k", "1.5M"]
        );
        assert_eq!(
            [0, 3, 303, 14_700, 1_051_200].map(span),
            ["0s", "3s", "5m 3s", "4h 5m", "12d 4h"]
        );
        assert_eq!((ns(Some(1_234_567)), ns(None)), ("1.23".to_owned(), "-".to_owned()));
    }

    #[test]
    fn rates() {
        let io = IoTotals {
            read_ops: 10,
            write_ops: 10,
            read_bytes: 4_000_000,
            write_bytes: 2_000_000,
            busy_ns: 10_000_000,
            errors: 0,
        };
        let expected = Rates {
            reads: 5.0,
            writes: 5.0,
            read_mb: 2.0,
            write_mb: 1.0,
            ms: Some(0.5),
        };
        assert_eq!(Rates::of(&io, Duration::from_secs(2)), Some(expected));
        assert_eq!(Rates::of(&io, Duration::ZERO), None);
        assert_eq!(
            Rates::of(&IoTotals::default(), Duration::from_secs(1)).unwrap().ms,
            None
        );
    }
}
