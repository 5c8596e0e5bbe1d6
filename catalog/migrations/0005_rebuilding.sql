-- State of this host: the points that a rebuild has read anew, and when, so that one which was cut off goes
-- on.
CREATE TABLE reread (
    repository TEXT NOT NULL,
    point      TEXT NOT NULL,
    moment     TEXT NOT NULL,
    PRIMARY KEY (repository, point)
) STRICT, WITHOUT ROWID;
