-- State of this host: whether somebody was told that a policy of an application is in trouble, so that he is
-- told once, and told when it is over.
ALTER TABLE jobs ADD COLUMN trouble TEXT CHECK (trouble IN ('failed', 'stale'));

-- For how a policy of an application stands.
CREATE INDEX runs_by_outcome ON runs (application, policy, outcome, due) WHERE policy IS NOT NULL;

-- State of this host: what is to be told, by which channel of the configuration, and of what. What was told
-- goes; what has an end was given up, for this error. `notice` is JSON.
CREATE TABLE notices (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    channel    TEXT NOT NULL,
    subject    TEXT NOT NULL,
    moment     TEXT NOT NULL,
    notice     TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    not_before TEXT NOT NULL,
    ended      TEXT,
    error      TEXT,
    CHECK ((ended IS NULL) = (error IS NULL))
) STRICT;

CREATE INDEX notices_waiting ON notices (not_before) WHERE ended IS NULL;
