-- State of this host: runs as before, and those that somebody asked the service for: `request` says who,
-- why and what (JSON; see catalog/src/request.rs). Restores are runs, too, and a run can be called off.
CREATE TABLE all_runs (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    task        TEXT NOT NULL CHECK (task IN ('backup', 'prune', 'check', 'verify', 'restore')),
    application TEXT NOT NULL,
    repository  TEXT,
    policy      TEXT,
    due         TEXT,
    schedules   TEXT,
    request     TEXT,
    queued      TEXT NOT NULL,
    started     TEXT,
    pid         INTEGER,
    start_ticks INTEGER,
    attempts    INTEGER NOT NULL,
    not_before  TEXT,
    ended       TEXT,
    outcome     TEXT CHECK (outcome IN ('succeeded', 'partial', 'failed', 'abandoned', 'cancelled')),
    error       TEXT,
    point       TEXT,
    CHECK ((policy IS NULL) = (due IS NULL) AND (due IS NULL) = (schedules IS NULL)),
    CHECK (policy IS NULL OR request IS NULL),
    CHECK ((started IS NULL) = (pid IS NULL) AND (pid IS NULL) = (start_ticks IS NULL)),
    CHECK ((ended IS NULL) = (outcome IS NULL)),
    CHECK ((error IS NOT NULL) = (outcome IS 'failed')),
    CHECK (point IS NULL OR ended IS NOT NULL)
) STRICT;

INSERT INTO all_runs
SELECT id, task, application, repository, policy, due, schedules, NULL, queued, started, pid, start_ticks,
    attempts, not_before, ended, outcome, error, point
FROM runs;

DROP TABLE runs;
ALTER TABLE all_runs RENAME TO runs;
CREATE INDEX runs_by_queue ON runs (queued);
CREATE INDEX runs_unfinished ON runs (id) WHERE ended IS NULL;
CREATE UNIQUE INDEX runs_by_slot ON runs (application, policy, due) WHERE policy IS NOT NULL;

-- State of this host: the keys by which somebody says that a request is the same as one before, so that it
-- is carried out once. The digest is that of the request.
CREATE TABLE request_keys (
    who    TEXT NOT NULL,
    key    TEXT NOT NULL,
    digest TEXT NOT NULL,
    run    INTEGER NOT NULL,
    moment TEXT NOT NULL,
    PRIMARY KEY (who, key)
) STRICT, WITHOUT ROWID;

-- State of this host: who may ask the service from elsewhere. A token itself is nowhere, only its digest.
-- The applications are a JSON list; where there is none, a token is for all.
CREATE TABLE tokens (
    name         TEXT NOT NULL PRIMARY KEY,
    digest       TEXT NOT NULL UNIQUE,
    role         TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    applications TEXT,
    created      TEXT NOT NULL,
    expires      TEXT,
    revoked      TEXT
) STRICT, WITHOUT ROWID;

-- What is asked of the service ends with its run.
ALTER TABLE audit ADD COLUMN run INTEGER;
CREATE INDEX audit_by_run ON audit (run) WHERE run IS NOT NULL;

-- For lists that are shown a piece at a time.
CREATE INDEX points_by_time ON points (taken, point, repository);
CREATE INDEX points_by_id ON points (point);
CREATE INDEX runs_by_application ON runs (application, id);
CREATE INDEX runs_by_task ON runs (task, id);
CREATE INDEX events_by_application ON events (application, id);
