-- Cache: what is said about restore points, as their annotations in the repositories tell. `note`
-- is JSON; see docs/format.md#annotations.
CREATE TABLE annotations (
    repository TEXT NOT NULL,
    point      TEXT NOT NULL,
    number     INTEGER NOT NULL,
    who        TEXT NOT NULL,
    said       TEXT NOT NULL,
    note       TEXT NOT NULL,
    PRIMARY KEY (repository, point, number),
    FOREIGN KEY (repository, point) REFERENCES points ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- State of this host: the pins that its restores have made, so that one which was cut off does not
-- keep what it read for ever.
CREATE TABLE pins (
    repository  TEXT NOT NULL,
    pin         TEXT NOT NULL,
    pid         INTEGER NOT NULL,
    start_ticks INTEGER NOT NULL,
    PRIMARY KEY (repository, pin)
) STRICT, WITHOUT ROWID;
