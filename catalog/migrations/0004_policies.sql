-- Which policy wanted a point, for which moment, and by which of its schedules (a JSON list).
ALTER TABLE points ADD COLUMN policy TEXT;
ALTER TABLE points ADD COLUMN due TEXT;
ALTER TABLE points ADD COLUMN schedules TEXT;

-- State of this host: runs that wait, go on or have ended. One that a policy wanted has the columns
-- that its point has; there is one for each moment. Where it is for a repository as a whole, the
-- application is empty.
CREATE TABLE all_runs (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    task        TEXT NOT NULL CHECK (task IN ('backup', 'prune', 'check', 'verify')),
    application TEXT NOT NULL,
    repository  TEXT,
    policy      TEXT,
    due         TEXT,
    schedules   TEXT,
    queued      TEXT NOT NULL,
    started     TEXT,
    pid         INTEGER,
    start_ticks INTEGER,
    attempts    INTEGER NOT NULL,
    not_before  TEXT,
    ended       TEXT,
    outcome     TEXT CHECK (outcome IN ('succeeded', 'partial', 'failed', 'abandoned')),
    error       TEXT,
    point       TEXT,
    CHECK ((policy IS NULL) = (due IS NULL) AND (due IS NULL) = (schedules IS NULL)),
    CHECK ((started IS NULL) = (pid IS NULL) AND (pid IS NULL) = (start_ticks IS NULL)),
    CHECK ((ended IS NULL) = (outcome IS NULL)),
    CHECK ((error IS NOT NULL) = (outcome IS 'failed')),
    CHECK (point IS NULL OR ended IS NOT NULL)
) STRICT;

INSERT INTO all_runs
SELECT id, 'backup', application, repository, NULL, NULL, NULL, started, started, pid, start_ticks, 1, NULL,
    ended, outcome, error, point
FROM runs;

DROP TABLE runs;
ALTER TABLE all_runs RENAME TO runs;
CREATE INDEX runs_by_queue ON runs (queued);
CREATE INDEX runs_unfinished ON runs (id) WHERE ended IS NULL;
CREATE UNIQUE INDEX runs_by_slot ON runs (application, policy, due) WHERE policy IS NOT NULL;

-- State of this host: up to which moment each policy of an application was looked after, and when the
-- policy ran by then (JSON).
CREATE TABLE jobs (
    application TEXT NOT NULL,
    policy      TEXT NOT NULL,
    handled     TEXT NOT NULL,
    timing      TEXT NOT NULL,
    PRIMARY KEY (application, policy)
) STRICT, WITHOUT ROWID;

-- State of this host: what happened besides runs. `happening` is JSON.
CREATE TABLE events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    moment      TEXT NOT NULL,
    application TEXT,
    policy      TEXT,
    happening   TEXT NOT NULL
) STRICT;
