//! A strict reader of the OpenMetrics text format, written from the standard (OpenMetrics 1.0.0: "ABNF", "Overall Structure",
//! "Metric Types"): whatever it does not allow is an error.

use std::collections::{BTreeMap, BTreeSet};

/// Name and labels of a sample, and its value.
pub type Samples = BTreeMap<(String, Vec<(String, String)>), f64>;

/// Name, labels, value.
type Sample = (String, Vec<(String, String)>, f64);

#[derive(Default)]
struct Family {
    name: String,
    kind: Option<String>,
    unit: Option<String>,
    help: Option<String>,
    samples: Vec<Sample>,
}

/// All samples of a whole exposition.
pub fn read(text: &str) -> Result<Samples, String> {
    let body = text
        .strip_suffix("# EOF\n")
        .ok_or("the end is not '# EOF' and a line feed")?;
    let (mut families, mut names) = (Vec::<Family>::new(), BTreeSet::new());
    for line in body.split_terminator('\n') {
        let fault = |what: &str| Err(format!("{what}: {line:?}"));
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (Some(key), Some(name), Some(value)) = (words.next(), words.next(), words.next()) else {
                return fault("a descriptor of fewer than three words");
            };
            if !is_name(name) {
                return fault("no name of a metric");
            }
            if families.last().is_none_or(|family| family.name != name) {
                if !names.insert(name.to_owned()) {
                    return fault("a family in two places");
                }
                families.push(Family {
                    name: name.to_owned(),
                    ..Family::default()
                });
            }
            let family = families.last_mut().ok_or("there is one")?;
            if !family.samples.is_empty() {
                return fault("a descriptor behind samples");
            }
            let place = match key {
                "TYPE" => &mut family.kind,
                "UNIT" => &mut family.unit,
                "HELP" => &mut family.help,
                _ => return fault("an unknown descriptor"),
            };
            if place.replace(value.to_owned()).is_some() {
                return fault("a descriptor twice");
            }
        } else {
            let sample = sample(line)?;
            match families.last_mut() {
                Some(family) if sample.0.starts_with(&family.name) => family.samples.push(sample),
                _ => return fault("a sample without its family"),
            }
        }
    }
    let mut samples = Samples::new();
    for family in &families {
        check(family).map_err(|what| format!("{}: {what}", family.name))?;
        for (name, labels, value) in &family.samples {
            let mut sorted = labels.clone();
            sorted.sort();
            if samples.insert((name.clone(), sorted), *value).is_some() {
                return Err(format!("{name}{labels:?} twice"));
            }
        }
    }
    Ok(samples)
}

fn is_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(|c| letter(c) || c == ':') && text.chars().all(|c| letter(c) || c == ':' || c.is_ascii_digit())
}

fn is_label(text: &str) -> bool {
    is_name(text) && !text.contains(':')
}

/// `metricname [labels] SP number`, no timestamp and no exemplar: nobody here sends them.
fn sample(line: &str) -> Result<Sample, String> {
    let fault = |what: &str| format!("{what}: {line:?}");
    let end = line.find(['{', ' ']).ok_or_else(|| fault("a sample of one word"))?;
    let (name, mut rest) = line.split_at(end);
    if !is_name(name) {
        return Err(fault("no name of a metric"));
    }
    let mut labels = Vec::new();
    if let Some(mut inner) = rest.strip_prefix('{') {
        loop {
            let (label, after) = inner.split_once("=\"").ok_or_else(|| fault("a label without value"))?;
            if !is_label(label) || labels.iter().any(|(other, _)| other == label) {
                return Err(fault("no name of a label, or twice"));
            }
            let (value, after) = quoted(after).ok_or_else(|| fault("a value without end, or an unknown escape"))?;
            labels.push((label.to_owned(), value));
            match after.strip_prefix(',') {
                Some(next) => inner = next,
                None => {
                    rest = after.strip_prefix('}').ok_or_else(|| fault("labels without end"))?;
                    break;
                }
            }
        }
    }
    let number = rest.strip_prefix(' ').ok_or_else(|| fault("no value"))?;
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    let value = match number {
        "+Inf" => f64::INFINITY,
        number if plain(number) => number.parse().map_err(|_| fault("no number"))?,
        _ => return Err(fault("no number")),
    };
    Ok((name.to_owned(), labels, value))
}

/// The value up to its closing quote, and what comes behind that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

type Groups<'a> = BTreeMap<Vec<(String, String)>, Vec<(&'a str, Option<&'a str>, f64)>>;

fn check(family: &Family) -> Result<(), String> {
    let kind = family.kind.as_deref().ok_or("no TYPE")?;
    if let Some(unit) = &family.unit
        && (unit.is_empty() || !family.name.ends_with(&format!("_{unit}")) || matches!(kind, "info" | "stateset"))
    {
        return Err(format!("unit {unit}"));
    }
    let suffixes: &[&str] = match kind {
        "gauge" | "stateset" => &[""],
        "counter" => &["_total", "_created"],
        "info" => &["_info"],
        "histogram" => &["_bucket", "_count", "_sum", "_created"],
        other => return Err(format!("type {other} is not expected here")),
    };
    let own_label = match kind {
        "histogram" => "le",
        "stateset" => family.name.as_str(),
        _ => "",
    };
    // By labels without the one that belongs to the type; those of one group must come together.
    let (mut groups, mut last) = (Groups::new(), None);
    for (name, labels, value) in &family.samples {
        let suffix = name
            .strip_prefix(&family.name)
            .filter(|suffix| suffixes.contains(suffix));
        let suffix = suffix.ok_or_else(|| format!("a sample {name} in a {kind}"))?;
        let own = labels
            .iter()
            .find(|(label, _)| label == own_label)
            .map(|(_, value)| value.as_str());
        let mut key = labels.clone();
        key.retain(|(label, _)| label != own_label);
        if last.as_ref() != Some(&key) && groups.contains_key(&key) {
            return Err(format!("samples of {key:?} in two places"));
        }
        groups.entry(key.clone()).or_default().push((suffix, own, *value));
        last = Some(key);
    }
    for (key, samples) in &groups {
        let good = match kind {
            "counter" => samples.iter().all(|(_, _, value)| *value >= 0.0),
            "info" => samples.iter().all(|(_, _, value)| *value == 1.0),
            "stateset" => samples
                .iter()
                .all(|(_, state, value)| state.is_some() && [0.0, 1.0].contains(value)),
            "histogram" => is_histogram(samples),
            _ => true,
        };
        if !good {
            return Err(format!("values of {key:?}: {samples:?}"));
        }
    }
    Ok(())
}

/// Bounds ascend, counts do not descend, the last bucket is +Inf and has what `_count` says; with `_sum`.
fn is_histogram(samples: &[(&str, Option<&str>, f64)]) -> bool {
    let (mut bound, mut count, mut end) = (f64::NEG_INFINITY, 0.0, None);
    for (suffix, le, value) in samples {
        match (*suffix, le) {
            ("_bucket", Some(le)) => {
                let next = if *le == "+Inf" {
                    Ok(f64::INFINITY)
                } else {
                    le.parse::<f64>()
                };
                let Ok(next) = next else { return false };
                if end.is_some() || next <= bound || *value < count {
                    return false;
                }
                (bound, count) = (next, *value);
            }
            ("_count", None) => end = Some(*value),
            ("_sum", None) if *value >= 0.0 => {}
            _ => return false,
        }
    }
    let sum = samples.iter().any(|(suffix, ..)| *suffix == "_sum");
    bound == f64::INFINITY && end == Some(count) && sum
}
