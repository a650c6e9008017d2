-- The log of every session, what lists show of them, and what speeds up reading.
-- Ids are 16 bytes of UUID, times are milliseconds since 1970-01-01T00:00:00Z, flags are 0 or 1.

-- Events: the truth. `body` is the event as JSON. Clustered by session, so that a log is read in one sweep.
CREATE TABLE event (
    session_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (session_id, seq)
) STRICT, WITHOUT ROWID;

-- Where turns begin, so that the last ones can be read without the rest.
CREATE TABLE turn (
    session_id BLOB NOT NULL,
    first_seq INTEGER NOT NULL,
    PRIMARY KEY (session_id, first_seq)
) STRICT, WITHOUT ROWID;

-- What lists show. `summary` is JSON; the columns are what is asked for.
CREATE TABLE session (
    id BLOB NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    cwd TEXT NOT NULL,
    is_archived INTEGER NOT NULL,
    is_active INTEGER NOT NULL,
    is_ephemeral INTEGER NOT NULL,
    summary TEXT NOT NULL
) STRICT;

-- Order and filters of lists: rows that are not asked for are passed over without a look at the table.
CREATE INDEX session_list
    ON session (updated_at DESC, id DESC, is_archived, is_active, is_ephemeral, cwd);

-- A folded state per session. An accelerator: it may be lost.
CREATE TABLE checkpoint (
    session_id BLOB NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- Which session refers to which blob (32 bytes of SHA-256).
CREATE TABLE blob_ref (
    session_id BLOB NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (session_id, blob)
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_ref_blob ON blob_ref (blob);
