-- What this host has seen of a repository: it tells when one goes back to an earlier state. The
-- digest is keyed, and absent until the object was read.
CREATE TABLE seen (
    repository TEXT NOT NULL,
    object     TEXT NOT NULL,
    size       INTEGER NOT NULL,
    digest     TEXT,
    PRIMARY KEY (repository, object)
) STRICT, WITHOUT ROWID;

-- When each pack was last read and was as it had been written.
CREATE TABLE readings (
    repository TEXT NOT NULL,
    pack       TEXT NOT NULL,
    read       TEXT NOT NULL,
    PRIMARY KEY (repository, pack)
) STRICT, WITHOUT ROWID;
