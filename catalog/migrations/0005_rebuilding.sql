-- State of this host: the repositories whose points are being read anew, so that a rebuild which was
-- cut off goes on.
CREATE TABLE rebuilding (
    repository TEXT PRIMARY KEY NOT NULL
) STRICT, WITHOUT ROWID;
