//! What is known about databases: what to run, and what to hold, so that a snapshot has everything
//! that they acknowledged.

use serde::{Deserialize, Serialize};

use super::declared::Orders;

/// A kind of database.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// MySQL, MariaDB and Percona Server: a global read lock is held.
    #[serde(alias = "mariadb")]
    MySql,
    /// PostgreSQL: a checkpoint makes recovery short; all volumes at one instant do the rest.
    #[serde(alias = "postgres")]
    PostgreSql,
    /// Redis and Valkey: what is only in memory is saved, and nobody writes until the thaw.
    #[serde(alias = "valkey")]
    Redis,
}

impl Profile {
    /// The profile of this name, which may be that of a relative.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "mariadb" | "mysql" => Some(Self::MySql),
            "postgres" | "postgresql" => Some(Self::PostgreSql),
            "redis" | "valkey" => Some(Self::Redis),
            _ => None,
        }
    }

    /// The profile that fits an image, by the last part of its name.
    pub(super) fn of_image(image: &str) -> Option<Self> {
        let (name, _) = image.split_once('@').unwrap_or((image, ""));
        let name = name.rsplit('/').next().unwrap_or_default();
        let (name, _) = name.split_once(':').unwrap_or((name, ""));
        match name {
            "mysql-server" | "percona" | "percona-server" => Some(Self::MySql),
            "pgvector" | "postgis" | "timescaledb" | "timescaledb-ha" => Some(Self::PostgreSql),
            "redis-stack" | "redis-stack-server" => Some(Self::Redis),
            other => Self::named(other),
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::MySql => "mysql",
            Self::PostgreSql => "postgresql",
            Self::Redis => "redis",
        }
    }

    /// What it runs with `sh -c` in the container.
    pub(super) fn script(self) -> &'static str {
        match self {
            Self::MySql => include_str!("profile/mysql.sh"),
            Self::PostgreSql => include_str!("profile/postgresql.sh"),
            Self::Redis => include_str!("profile/redis.sh"),
        }
    }

    /// What the script is told.
    pub(super) fn orders(self) -> Orders {
        match self {
            Self::MySql => Orders {
                hold: include_str!("profile/mysql-hold.sql"),
                release: include_str!("profile/mysql-release.sql"),
            },
            Self::PostgreSql | Self::Redis => Orders::default(),
        }
    }

    /// Whether the script holds something until its input ends; otherwise it ends by itself.
    pub(super) fn holds(self) -> bool {
        match self {
            Self::MySql | Self::Redis => true,
            Self::PostgreSql => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_the_last_part_of_its_name() {
        for (image, profile) in [
            ("postgres", Some(Profile::PostgreSql)),
            ("postgres:15-alpine", Some(Profile::PostgreSql)),
            ("registry:5000/bitnami/postgresql@sha256:0f", Some(Profile::PostgreSql)),
            ("timescale/timescaledb-ha:pg16", Some(Profile::PostgreSql)),
            ("mariadb:10", Some(Profile::MySql)),
            ("percona/percona-server:8.0", Some(Profile::MySql)),
            ("valkey/valkey", Some(Profile::Redis)),
            ("redis:7", Some(Profile::Redis)),
            ("postgres-exporter", None),
            ("postgres/admin", None),
            ("sha256:0123", None),
            ("", None),
        ] {
            assert_eq!(Profile::of_image(image), profile, "{image}");
        }
    }

    #[test]
    fn every_name_leads_to_itself() {
        for profile in [Profile::MySql, Profile::PostgreSql, Profile::Redis] {
            assert_eq!(Profile::named(profile.name()), Some(profile));
        }
    }
}
