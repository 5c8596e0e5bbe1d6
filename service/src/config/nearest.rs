//! What somebody meant who wrote a key that there is not.

use strsim::damerau_levenshtein;

/// The known name nearest to one that is unknown, if they are alike, from the message of a parser such as
/// "unknown field `dayly`, expected one of `daily`, `weekly`".
pub(super) fn meant(message: &str) -> Option<&str> {
    let (_, message) = message.split_once("unknown ")?;
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    let distance = |name: &&str| damerau_levenshtein(unknown, name);
    let nearest = names.min_by_key(distance)?;
    // Two letters of six may be wrong.
    (distance(&nearest) * 3 <= unknown.chars().count()).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_meant_if_it_is_alike() {
        let keys = "expected one of `daily`, `weekly`, `schedules`";
        for (written, name) in [
            ("dayly", Some("daily")),
            ("shedule", Some("schedules")),
            ("wekely", Some("weekly")),
            ("colour", None),
            ("d", None),
        ] {
            let message = format!("unknown field `{written}`, {keys}");
            assert_eq!(meant(&message), name, "{written}");
        }
        assert_eq!(meant("missing field `url`"), None);
        assert_eq!(meant("unknown variant `bakcup`, expected `backup` or `prune`"), Some("backup"));
    }
}
