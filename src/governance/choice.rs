//! Which of a key's providers serves a model that names none.

/// One that may.
#[derive(Debug, Clone, PartialEq)]
pub struct May<T> {
    /// Who.
    pub who: T,
    /// How often, beside the others.
    pub weight: f64,
    /// Whether the model is known to be one of theirs.
    pub knows: bool,
}

/// Them in the order in which they are asked: the first by weight and chance, the others by weight. Who is known to have the model goes
/// before who is not, and without any such everybody counts. `random` is any number.
pub fn order<T>(all: Vec<May<T>>, random: u64) -> Vec<T> {
    let is_known = all.iter().any(|may| may.knows);
    let mut all: Vec<May<T>> = all.into_iter().filter(|may| may.knows || !is_known).collect();
    // The sort keeps those of one weight as they stand in the record.
    all.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let sum: f64 = all.iter().map(|may| may.weight).sum();
    let mut rest = (random >> 11) as f64 / (1_u64 << 53) as f64 * sum;
    let first = all.iter().position(|may| {
        rest -= may.weight;
        rest < 0.0
    });
    if let Some(first) = first {
        let chosen = all.remove(first);
        all.insert(0, chosen);
    }
    all.into_iter().map(|may| may.who).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_as_often_first_as_its_weight_says_and_all_are_asked() {
        let all = || ["a", "b", "c"].into_iter().zip([1.0, 3.0, 0.0]).map(|(who, weight)| May { who, weight, knows: true }).collect::<Vec<_>>();
        let mut firsts = [0, 0, 0];
        for i in 0..4000_u64 {
            let order = order(all(), i * (u64::MAX / 4000));
            assert_eq!(order.len(), 3);
            let first = ["a", "b", "c"].iter().position(|who| *who == order[0]).unwrap();
            firsts[first] += 1;
        }
        assert!((990..=1010).contains(&firsts[0]) && firsts[2] == 0, "{firsts:?}");
        assert_eq!(order(all(), 0), ["b", "a", "c"]);
    }

    #[test]
    fn who_has_the_model_is_asked_and_others_only_where_nobody_is_known_to() {
        let may = |who, knows| May { who, weight: 1.0, knows };
        assert_eq!(order(vec![may("a", false), may("b", true)], 0), ["b"]);
        assert_eq!(order(vec![may("a", false), may("b", false)], 0), ["a", "b"]);
        assert_eq!(order(vec![May { who: "a", weight: 0.0, knows: true }], 9), ["a"], "who has no weight is asked last, not never");
        assert!(order(Vec::<May<u8>>::new(), 0).is_empty());
    }
}
