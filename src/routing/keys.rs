//! Which of a provider's keys serves a request.

use sha2::{Digest as _, Sha256};

use crate::base::glob::fits;

/// What decides whether and how often a key is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRules {
    /// What callers pin it by and reports call it.
    pub name: String,
    /// How often it is chosen, beside the others.
    pub weight: f64,
    /// Patterns of the models that it serves.
    pub models: Vec<String>,
    /// Patterns of those of them that it does not.
    pub blacklisted_models: Vec<String>,
    /// Whether it is chosen at all.
    pub enabled: bool,
}

impl KeyRules {
    /// Whether it may serve the model; a request that names none fits any key.
    pub fn serves(&self, model: &str) -> bool {
        let is_listed = |list: &[String]| list.iter().any(|pattern| fits(pattern, model));
        self.enabled && (model.is_empty() || (is_listed(&self.models) && !is_listed(&self.blacklisted_models)))
    }
}

/// Chooses one of `keys`, by weight. The same `session` gets the same key as long as that one is among them (rendezvous hashing:
/// when a key goes, only its own sessions move); without a session `random` decides.
pub fn choose<'a>(keys: &[&'a KeyRules], session: Option<&str>, random: u64) -> Option<&'a KeyRules> {
    // Where nobody has a weight, all have the same.
    let uniform = keys.iter().all(|key| key.weight <= 0.0);
    let weight = |key: &KeyRules| if uniform { 1.0 } else { key.weight.max(0.0) };
    if let Some(session) = session {
        let score = |key: &KeyRules| -weight(key) / fraction(hash(session, &key.name)).ln();
        return keys.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b)));
    }
    let mut rest = fraction(random) * keys.iter().map(|key| weight(key)).sum::<f64>();
    let weighty = keys.iter().copied().filter(|key| weight(key) > 0.0);
    let mut last = None;
    for key in weighty {
        rest -= weight(key);
        last = Some(key);
        if rest < 0.0 {
            break;
        }
    }
    last
}

/// Between 0 and 1, both excluded.
fn fraction(random: u64) -> f64 {
    ((random >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

fn hash(session: &str, name: &str) -> u64 {
    let digest = Sha256::new().chain_update(session).chain_update([0]).chain_update(name).finalize();
    digest.iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn key(name: &str, weight: f64) -> KeyRules {
        KeyRules { name: name.to_owned(), weight, models: vec!["*".to_owned()], blacklisted_models: Vec::new(), enabled: true }
    }

    fn shares(keys: &[&KeyRules], pick: impl Fn(u64) -> String) -> HashMap<String, f64> {
        let mut counts: HashMap<String, f64> = keys.iter().map(|key| (key.name.clone(), 0.0)).collect();
        (0..10_000).for_each(|i| *counts.get_mut(&pick(i)).unwrap() += 1e-4);
        counts
    }

    #[test]
    fn ten_thousand_choices_are_as_many_as_the_weights_say() {
        let (a, b, c, never) = (key("a", 1.0), key("b", 3.0), key("c", 6.0), key("never", 0.0));
        let keys = [&a, &b, &c, &never];
        let spread = |i: u64| hash("seed", &i.to_string());
        let by_chance = shares(&keys, |i| choose(&keys, None, spread(i)).unwrap().name.clone());
        let by_session = shares(&keys, |i| choose(&keys, Some(&format!("session-{i}")), 0).unwrap().name.clone());
        for found in [by_chance, by_session] {
            // Four standard deviations of 10,000 draws are 0.02.
            for (name, expected) in [("a", 0.1), ("b", 0.3), ("c", 0.6), ("never", 0.0)] {
                assert!((found[name] - expected).abs() < 0.02, "{name}: {found:?}");
            }
        }
    }

    #[test]
    fn a_session_keeps_its_key_and_moves_only_when_that_key_goes() {
        let keys: Vec<KeyRules> = (0..5).map(|i| key(&format!("key-{i}"), 1.0)).collect();
        let all: Vec<&KeyRules> = keys.iter().collect();
        for i in 0..200 {
            let session = format!("session-{i}");
            let chosen = choose(&all, Some(&session), i).unwrap();
            assert_eq!(choose(&all, Some(&session), !i).unwrap(), chosen);
            for gone in &all {
                let rest: Vec<&KeyRules> = all.iter().copied().filter(|key| key != gone).collect();
                let next = choose(&rest, Some(&session), 0).unwrap();
                assert!(next == chosen || *gone == chosen, "{session} moved though its key stayed");
            }
        }
    }

    #[test]
    fn a_key_serves_what_its_lists_say() {
        let rules = KeyRules { models: vec!["gpt-4o*".into()], blacklisted_models: vec!["*-audio*".into()], ..key("a", 1.0) };
        assert!(rules.serves("gpt-4o-mini") && rules.serves(""));
        assert!(!rules.serves("gpt-4o-audio-preview") && !rules.serves("o3"));
        assert!(!KeyRules { enabled: false, ..key("a", 1.0) }.serves("gpt-4o"));
        assert!(!KeyRules { models: Vec::new(), ..key("a", 1.0) }.serves("gpt-4o"));
        assert_eq!(choose(&[], None, 0), None);
        let (a, b) = (key("a", 0.0), key("b", 0.0));
        assert!(choose(&[&a, &b], None, 0).is_some(), "nobody has a weight: all have the same");
    }
}
