//! Reads parts of JSON whose size a user controls. Skips values that are too long or too many without a copy.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// The longest path; no name, image or host name is longer.
const LONGEST: usize = 4096;
/// The longest value of a label. Kubernetes allows no more for all annotations of a pod.
const LONGEST_VALUE: usize = 256 << 10;
/// The most labels of one container, and the most bytes of all its labels.
const MOST_LABELS: usize = 10_000;
const LARGEST_LABELS: usize = 1 << 20;

/// Calls a function with a string of the JSON. A string with escapes is copied once, by serde.
struct Str<F>(F);

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for Str<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }
}

impl<'de, T, F: FnOnce(&str) -> T> DeserializeSeed<'de> for Str<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

fn at_most(longest: usize) -> impl FnOnce(&str) -> Option<String> {
    move |text| (text.len() <= longest).then(|| text.to_owned())
}

/// The string; None if it is too long for another copy.
pub(super) fn short(text: &str) -> Option<&str> {
    (text.len() <= LONGEST_VALUE).then_some(text)
}

/// The result of a function for a string.
pub(super) fn read<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    make: impl FnOnce(&str) -> T,
) -> Result<T, D::Error> {
    deserializer.deserialize_str(Str(make))
}

/// A string; empty if it is too long.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    read(deserializer, at_most(LONGEST)).map(Option::unwrap_or_default)
}

struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        read(deserializer, at_most(LONGEST)).map(Text)
    }
}

/// A string or null; None if it is too long.
pub(super) fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Text>::deserialize(deserializer)?.and_then(|text| text.0))
}

/// The number and the bytes of labels that may still be kept.
struct Room {
    labels: usize,
    bytes: usize,
}

impl Room {
    const NEW: Room = Room { labels: MOST_LABELS, bytes: LARGEST_LABELS };

    fn take(&mut self, bytes: usize) -> bool {
        let room = self.labels > 0 && bytes <= self.bytes;
        if room {
            self.labels -= 1;
            self.bytes -= bytes;
        }
        room
    }
}

struct Labels(BTreeMap<String, String>);

struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
        let (mut labels, mut room) = (BTreeMap::new(), Room::NEW);
        while room.labels > 0 {
            let Some(name) = map.next_key_seed(Str(at_most(LONGEST)))? else { return Ok(Labels(labels)) };
            let value = map.next_value_seed(Str(at_most(LONGEST_VALUE)))?;
            let label = name.zip(value).filter(|(name, value)| room.take(name.len() + value.len()));
            labels.extend(label);
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Labels(labels))
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
        deserializer.deserialize_map(LabelsVisitor)
    }
}

/// A map of strings, or null.
pub(super) fn labels<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    Ok(Option::<Labels>::deserialize(deserializer)?.map(|labels| labels.0))
}

struct Lines(Vec<String>);

struct LinesVisitor;

impl<'de> Visitor<'de> for LinesVisitor {
    type Value = Lines;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Lines, A::Error> {
        let (mut lines, mut room) = (Vec::new(), Room::NEW);
        while room.labels > 0 {
            let Some(line) = seq.next_element_seed(Str(at_most(LONGEST_VALUE)))? else {
                return Ok(Lines(lines));
            };
            lines.extend(line.filter(|line| room.take(line.len())));
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Lines(lines))
    }
}

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Lines, D::Error> {
        deserializer.deserialize_seq(LinesVisitor)
    }
}

/// A list of strings, or null.
pub(super) fn lines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    Ok(Option::<Lines>::deserialize(deserializer)?.map(|lines| lines.0))
}

/// Passes the elements of a list to a function, until it returns false.
pub(crate) struct Each<T, F>(F, PhantomData<T>);

impl<T, F: FnMut(T) -> bool> Each<T, F> {
    pub(crate) fn new(take: F) -> Self {
        Each(take, PhantomData)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T) -> bool> Visitor<'de> for Each<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element()? {
            if !(self.0)(element) {
                break;
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T) -> bool> DeserializeSeed<'de> for Each<T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Record {
        #[serde(default, deserialize_with = "text")]
        text: String,
        #[serde(default, deserialize_with = "optional_text")]
        optional: Option<String>,
        #[serde(default, deserialize_with = "labels")]
        labels: Option<BTreeMap<String, String>>,
        #[serde(default, deserialize_with = "lines")]
        lines: Option<Vec<String>>,
    }

    fn record(json: &str) -> Option<Record> {
        serde_json::from_str(json).ok()
    }

    #[test]
    fn small_values_are_kept() {
        let found = record(
            r#"{"text":"a\u0062","optional":"c","labels":{"d":"e"},"lines":["f","g"],"more":{"x":[1]}}"#,
        );
        let found = found.expect("a state file");
        assert_eq!((found.text.as_str(), found.optional.as_deref()), ("ab", Some("c")));
        assert_eq!(found.labels.expect("labels")["d"], "e");
        assert_eq!(found.lines.expect("lines"), ["f", "g"]);
        let found = record(r#"{"optional":null,"labels":null,"lines":null}"#).expect("a state file");
        assert!(found.optional.is_none() && found.labels.is_none() && found.lines.is_none());
    }

    #[test]
    fn other_types_than_strings_are_an_error() {
        for json in [r#"{"text":5}"#, r#"{"optional":[]}"#, r#"{"labels":{"a":1}}"#, r#"{"lines":[1]}"#] {
            assert!(record(json).is_none(), "{json}");
        }
    }

    #[test]
    fn only_values_that_are_too_long_are_left_out() {
        let long = "x".repeat(LONGEST_VALUE + 1);
        let json = format!(
            r#"{{"text":"{long}","optional":"{long}","labels":{{"{long}":"a","b":"{long}","c":"d"}},"lines":["{long}","e"]}}"#
        );
        let found = record(&json).expect("a state file");
        assert_eq!((found.text.as_str(), found.optional), ("", None));
        assert_eq!(found.labels.expect("labels").into_iter().collect::<Vec<_>>(), [("c".into(), "d".into())]);
        assert_eq!(found.lines.expect("lines"), ["e"]);
    }

    #[test]
    fn too_many_values_are_cut() {
        let labels: Vec<String> = (0..2 * MOST_LABELS).map(|n| format!(r#""{n}":"""#)).collect();
        let json = format!(r#"{{"labels":{{{}}},"text":"after"}}"#, labels.join(","));
        let found = record(&json).expect("a state file");
        assert_eq!(found.labels.expect("labels").len(), MOST_LABELS);
        assert_eq!(found.text, "after");
        let value = "x".repeat(LONGEST_VALUE);
        let lines = vec![format!("\"{value}\""); 100];
        let found = record(&format!(r#"{{"lines":[{}]}}"#, lines.join(","))).expect("a state file");
        assert_eq!(found.lines.expect("lines").len(), LARGEST_LABELS / LONGEST_VALUE);
    }

    #[test]
    fn the_elements_of_a_list_are_passed_until_the_function_returns_false() {
        let mut seen = Vec::new();
        let each = Each::new(|number: u32| {
            seen.push(number);
            seen.len() < 2
        });
        let mut json = serde_json::Deserializer::from_str("[1,2,3,\"x\"]");
        assert!(each.deserialize(&mut json).is_ok());
        assert_eq!(seen, [1, 2]);
    }
}
