-- State of this host: what people had done, who they were, and why. Without an end it goes on, or was cut
-- off. The command is as a shell would take it; no secret is ever typed.
CREATE TABLE audit (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    moment     TEXT NOT NULL,
    who        TEXT NOT NULL,
    command    TEXT NOT NULL,
    repository TEXT,
    reason     TEXT,
    ended      TEXT,
    exit       INTEGER,
    error      TEXT,
    CHECK ((ended IS NULL) = (exit IS NULL)),
    CHECK (error IS NULL OR ended IS NOT NULL)
) STRICT;
