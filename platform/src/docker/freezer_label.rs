//! The label by which a container says who makes it stand still.

use super::container::Container;

/// `cgroup`, as where there is no label, or `engine`.
const LABEL: &str = "stillpoint.freezer";

/// Whether its engine is to pause a container; a sentence when its label makes no sense.
pub(super) fn by_engine(container: &Container) -> Result<bool, String> {
    match container.labels.get(LABEL).map(|label| label.trim()) {
        None | Some("cgroup") => Ok(false),
        Some("engine") => Ok(true),
        Some(other) => {
            Err(format!("label `{LABEL}`: there is no `{other}`, only `cgroup` and `engine`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_label_asks_for_the_engine_or_makes_no_sense() {
        let told = |label: &str| {
            let labels = BTreeMap::from([(LABEL.to_owned(), label.to_owned())]);
            by_engine(&Container { labels, ..Container::default() })
        };
        assert_eq!(by_engine(&Container::default()), Ok(false));
        assert_eq!([told("cgroup"), told(" engine ")], [Ok(false), Ok(true)]);
        assert!(told("docker").unwrap_err().contains("no `docker`, only"));
        assert!(told("").is_err());
    }
}
