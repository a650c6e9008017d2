-- Sessions that were set aside because what is stored of them can't be read.
CREATE TABLE damaged (
    session_id BLOB NOT NULL PRIMARY KEY,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a start looks for, so that it need not pass over all that is at rest.
CREATE INDEX session_active ON session (updated_at DESC, id DESC, is_archived, is_active, cwd) WHERE is_active;
CREATE INDEX session_ephemeral ON session (id, is_ephemeral) WHERE is_ephemeral;
