//! The catalog of a newer version: nothing is done with it.

use std::fs;
use std::process::Command;

use tests::directory::run;

use super::with_points;

/// Opens a database as no part of the program does, and runs one statement.
const SCRIPT: &str = "import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute(sys.argv[2])
database.commit()
database.close()";
/// What a version to come would have left.
const LATER: &str =
    "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
    VALUES (1000, 'later', TRUE, x'00', 0)";

#[test]
fn the_catalog_of_a_newer_version_is_refused_and_left_alone() {
    let mut world = with_points();
    world.set("DOCKER_HOST", format!("unix://{}", world.path("no-engine").display()));
    let catalog = world.state().join("catalog.sqlite");
    run(Command::new("python3").args(["-c", SCRIPT]).arg(&catalog).arg(LATER));
    let before = fs::read(&catalog).unwrap();
    let refused: [&[&str]; 7] = [
        &["points"],
        &["serve"],
        &["catalog", "rebuild"],
        &["catalog", "rebuild", "--plan"],
        &["catalog", "backup"],
        &["runs"],
        &["audit"],
    ];
    for arguments in refused {
        let said = world.stillpoint(arguments);
        said.failed(1, "is newer than this program: it has schema 1000");
        said.failed(1, "hint: use the version of stillpoint that wrote it, or a newer one");
        assert!(fs::read(&catalog).unwrap() == before, "{arguments:?} changes it");
    }
    let names = fs::read_dir(world.state()).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!names.any(|name| name.contains("-damaged-")), "it is set aside");
    let backups = fs::read_dir(world.state().join("catalog-backups")).unwrap();
    assert_eq!(backups.count(), 1, "no backup is made of it");
}
