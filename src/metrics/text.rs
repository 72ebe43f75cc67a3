//! The OpenMetrics text format (OpenMetrics 1.0.0, "Overall Structure" and "ABNF"): one block of lines a metric family, `# EOF` at the
//! end; and the older text format of Prometheus (0.0.4), which knows neither units nor the types info and stateset.

use std::fmt::{Display, Write};

/// Media type of the format.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Which of the two formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus 0.0.4: a descriptor names the samples, so it has their suffix.
    Prometheus,
}

/// Type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Never goes down; its samples have the suffix `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets, `_count` and `_sum`.
    Histogram,
    /// Facts as labels, the value is 1; suffix `_info`.
    Info,
    /// One label is the state, one sample for each.
    StateSet,
}

impl Kind {
    const fn word(self, format: Format) -> &'static str {
        match self {
            Kind::Info | Kind::StateSet if matches!(format, Format::Prometheus) => "gauge",
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Info => "info",
            Kind::StateSet => "stateset",
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            _ => "",
        }
    }
}

/// Labels of a sample: names and values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text, family by family. Samples of one family must come together.
pub struct Exposition {
    format: Format,
    out: String,
}

impl Exposition {
    /// Nothing yet.
    pub fn new(format: Format) -> Exposition {
        let out = String::new();
        Exposition { format, out }
    }

    /// Begins a family. A unit must be the end of the name.
    pub fn family(&mut self, name: &'static str, kind: Kind, unit: &str, help: &str) -> Family<'_> {
        debug_assert!(unit.is_empty() || name.ends_with(&format!("_{unit}")));
        let (out, suffix) = match self.format {
            Format::OpenMetrics => (&mut self.out, ""),
            Format::Prometheus => (&mut self.out, kind.suffix()),
        };
        line(out, format_args!("# TYPE {name}{suffix} {}", kind.word(self.format)));
        if !unit.is_empty() && self.format == Format::OpenMetrics {
            line(out, format_args!("# UNIT {name} {unit}"));
        }
        let help = match self.format {
            Format::OpenMetrics => escaped(help),
            // Quotes are escaped in labels only.
            Format::Prometheus => help.replace('\\', "\\\\").replace('\n', "\\n"),
        };
        line(out, format_args!("# HELP {name}{suffix} {help}"));
        Family { out, name, kind }
    }

    /// The whole text.
    pub fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

/// A family that samples are added to.
pub struct Family<'a> {
    out: &'a mut String,
    name: &'static str,
    kind: Kind,
}

impl Family<'_> {
    /// A counter, gauge, info or state.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        let suffix = self.kind.suffix();
        self.put(suffix, labels, None, value);
    }

    /// One of the states holds.
    pub fn states(&mut self, labels: Labels<'_>, states: &[&str], present: &str) {
        for state in states {
            self.put("", labels, Some((self.name, state)), u8::from(*state == present));
        }
    }

    /// `buckets`: upper bounds, ascending, and how many values are not above; `count`: all values.
    pub fn histogram(&mut self, labels: Labels<'_>, buckets: impl Iterator<Item = (f64, u64)>, count: u64, sum: f64) {
        for (bound, not_above) in buckets {
            self.put("_bucket", labels, Some(("le", &bound.to_string())), not_above);
        }
        self.put("_bucket", labels, Some(("le", "+Inf")), count);
        self.put("_count", labels, None, count);
        self.put("_sum", labels, None, sum);
    }

    fn put(&mut self, suffix: &str, labels: Labels<'_>, last: Option<(&str, &str)>, value: impl Display) {
        let labels: Vec<String> = labels
            .iter()
            .copied()
            .chain(last)
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        line(self.out, format_args!("{}{suffix}{labels} {value}", self.name));
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes every text");
}

/// `escaped-string` of the ABNF.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each_kind(format: Format) -> String {
        let mut text = Exposition::new(format);
        text.family("a_bytes", Kind::Counter, "bytes", "All \"a\".")
            .sample(&[("x", "1\\\n\"")], 7);
        text.family("b", Kind::StateSet, "", "B.")
            .states(&[("y", "z")], &["on", "off"], "off");
        let mut family = text.family("c_seconds", Kind::Histogram, "seconds", "C.");
        family.histogram(&[], [(0.5, 1), (1.0, 3)].into_iter(), 4, 2.25);
        text.family("d", Kind::Info, "", "D.").sample(&[], 1);
        text.end()
    }

    #[test]
    fn open_metrics() {
        let expected = "\
# TYPE a_bytes counter
# UNIT a_bytes bytes
# HELP a_bytes All \\\"a\\\".
a_bytes_total{x=\"1\\\\\\n\\\"\"} 7
# TYPE b stateset
# HELP b B.
b{y=\"z\",b=\"on\"} 0
b{y=\"z\",b=\"off\"} 1
# TYPE c_seconds histogram
# UNIT c_seconds seconds
# HELP c_seconds C.
c_seconds_bucket{le=\"0.5\"} 1
c_seconds_bucket{le=\"1\"} 3
c_seconds_bucket{le=\"+Inf\"} 4
c_seconds_count 4
c_seconds_sum 2.25
# TYPE d info
# HELP d D.
d_info 1
# EOF
";
        assert_eq!(one_of_each_kind(Format::OpenMetrics), expected);
    }

    #[test]
    fn prometheus() {
        let expected = "\
# TYPE a_bytes_total counter
# HELP a_bytes_total All \"a\".
a_bytes_total{x=\"1\\\\\\n\\\"\"} 7
# TYPE b gauge
# HELP b B.
b{y=\"z\",b=\"on\"} 0
b{y=\"z\",b=\"off\"} 1
# TYPE c_seconds histogram
# HELP c_seconds C.
c_seconds_bucket{le=\"0.5\"} 1
c_seconds_bucket{le=\"1\"} 3
c_seconds_bucket{le=\"+Inf\"} 4
c_seconds_count 4
c_seconds_sum 2.25
# TYPE d_info gauge
# HELP d_info D.
d_info 1
";
        assert_eq!(one_of_each_kind(Format::Prometheus), expected);
    }
}
