-- Ids are lower-case hexadecimal. Times are RFC 3339 in UTC with nine digits after the point, so
-- that their order as text is their order in time. Counts are unsigned 64-bit numbers, stored as
-- the signed number with the same bits. See catalog/src/column.rs.

-- "Stil": says that the file is one of ours.
PRAGMA application_id = 0x5374696c;

-- Cache: restore points, as their manifests in the repositories tell. Nothing secret is copied.
CREATE TABLE points (
    repository  TEXT NOT NULL,
    point       TEXT NOT NULL,
    application TEXT NOT NULL,
    platform    TEXT NOT NULL,
    host        TEXT NOT NULL,
    taken       TEXT NOT NULL,
    level       TEXT NOT NULL CHECK (level IN ('fuzzy', 'crash', 'application')),
    files       INTEGER NOT NULL,
    scanned     INTEGER NOT NULL,
    read        INTEGER NOT NULL,
    changed     INTEGER NOT NULL,
    stored      INTEGER NOT NULL,
    sent        INTEGER NOT NULL,
    omissions   INTEGER NOT NULL,
    PRIMARY KEY (repository, point)
) STRICT, WITHOUT ROWID;

CREATE INDEX points_of_application ON points (application, platform, taken);

CREATE TABLE volumes (
    repository TEXT NOT NULL,
    point      TEXT NOT NULL,
    position   INTEGER NOT NULL,
    name       TEXT NOT NULL,
    driver     TEXT NOT NULL,
    files      INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    PRIMARY KEY (repository, point, position),
    FOREIGN KEY (repository, point) REFERENCES points ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- State of this host: what was run, and which applications were seen.
CREATE TABLE runs (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    application TEXT NOT NULL,
    repository  TEXT,
    started     TEXT NOT NULL,
    pid         INTEGER NOT NULL,
    start_ticks INTEGER NOT NULL,
    ended       TEXT,
    outcome     TEXT CHECK (outcome IN ('succeeded', 'partial', 'failed', 'abandoned')),
    error       TEXT,
    point       TEXT,
    CHECK ((ended IS NULL) = (outcome IS NULL)),
    CHECK ((error IS NOT NULL) = (outcome IS 'failed')),
    CHECK (point IS NULL OR ended IS NOT NULL)
) STRICT;

CREATE INDEX runs_by_start ON runs (started);
CREATE INDEX runs_unfinished ON runs (id) WHERE ended IS NULL;

CREATE TABLE applications (
    name     TEXT NOT NULL,
    platform TEXT NOT NULL,
    seen     TEXT NOT NULL,
    PRIMARY KEY (name, platform)
) STRICT, WITHOUT ROWID;
