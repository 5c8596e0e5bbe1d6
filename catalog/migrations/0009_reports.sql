-- State of this host: what the service has to say of a run that has ended, as JSON.
CREATE TABLE reports (
    run    INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
    report TEXT NOT NULL
) STRICT;
