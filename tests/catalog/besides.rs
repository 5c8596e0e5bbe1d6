//! What is in no repository: what happened, who did what, and who may ask.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::world::World;

/// What a catalog knows that no repository does.
#[derive(Debug)]
pub(super) struct Besides {
    events: Vec<Value>,
    deeds: Vec<Value>,
    tokens: Vec<Value>,
}

impl Besides {
    pub(super) fn of(world: &World) -> Self {
        let list = |rows: &Value| rows.as_array().unwrap().clone();
        Self {
            events: list(&world.json(["runs", "--limit", "1000"])["events"]),
            deeds: list(&world.json(["audit", "--limit", "1000"])),
            tokens: list(&world.json(["token", "list"])),
        }
    }

    /// Panics unless a backup of the catalog has brought all of this back. What came since is newer.
    #[track_caller]
    pub(super) fn assert_kept(&self, world: &World) {
        let now = Self::of(world);
        assert!(now.events.ends_with(&self.events), "{now:#?} of {self:#?}");
        assert!(now.deeds.ends_with(&self.deeds), "{now:#?} of {self:#?}");
        // Nobody knows which of them were taken back since the backup: all are.
        assert_eq!(now.tokens.len(), self.tokens.len(), "{now:#?} of {self:#?}");
        for (now, before) in now.tokens.iter().zip(&self.tokens) {
            assert!(now["revoked"].is_string(), "{now} may ask again");
            let mut expected = before.clone();
            if before["revoked"].is_null() {
                expected["revoked"] = now["revoked"].clone();
            }
            assert_eq!(*now, expected);
        }
    }
}

/// Has something happen that only the catalog knows: a service that died, and two tokens, one of which was
/// taken back.
pub(super) fn add_besides(mut world: World) -> World {
    world.set("DOCKER_HOST", format!("unix://{}", world.path("no-engine").display()));
    let service = world.start(["serve"]);
    let begun = Instant::now();
    while world.json(["runs"])["events"] == json!([]) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:#?}", service.kill());
    }
    service.kill();
    world.stillpoint(["token", "add", "watcher", "--role", "viewer"]).succeeded();
    let former = ["token", "add", "former", "--role", "operator", "--app", "application 0"];
    world.stillpoint(former).succeeded();
    world.stillpoint(["token", "revoke", "former"]).succeeded();
    let besides = Besides::of(&world);
    assert_eq!(besides.events[0]["kind"], "started", "{besides:#?}");
    assert!(besides.deeds.len() > 3, "{besides:#?}");
    let revoked = |name: &str| {
        let token = besides.tokens.iter().find(|token| token["name"] == name);
        token.unwrap()["revoked"].is_string()
    };
    assert_eq!((revoked("watcher"), revoked("former")), (false, true), "{besides:#?}");
    world
}
