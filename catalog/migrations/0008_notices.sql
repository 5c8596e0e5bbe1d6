-- State of this host: whether somebody was told that a policy of an application is in trouble, so that he is
-- told once, and told when it is over.
ALTER TABLE jobs ADD COLUMN trouble TEXT CHECK (trouble IN ('failed', 'stale'));

-- State of this host: what is to be told, by which channel of the configuration. Without an end it is still
-- to be told; with an error it was given up. `notice` is JSON.
CREATE TABLE notices (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    channel    TEXT NOT NULL,
    moment     TEXT NOT NULL,
    notice     TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    not_before TEXT NOT NULL,
    ended      TEXT,
    error      TEXT
) STRICT;

CREATE INDEX notices_waiting ON notices (not_before) WHERE ended IS NULL;
