-- State of this host: what people had done, who they were, and why. Without an end it goes on, or was cut
-- off.
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    moment TEXT NOT NULL,
    who    TEXT NOT NULL,
    action TEXT NOT NULL,
    reason TEXT,
    ended  TEXT,
    error  TEXT,
    CHECK (error IS NULL OR ended IS NOT NULL)
) STRICT;
