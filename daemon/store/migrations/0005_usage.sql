-- What was spent, summed up by session, day (since 1970-01-01, UTC), provider and model. Stays when a session is
-- deleted: it was spent all the same.
CREATE TABLE usage (
    session_id BLOB NOT NULL,
    day INTEGER NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    requests INTEGER NOT NULL,
    unpriced_requests INTEGER NOT NULL,
    tool_calls INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cached_input_tokens INTEGER NOT NULL,
    cache_write_input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_output_tokens INTEGER NOT NULL,
    cost REAL NOT NULL,
    PRIMARY KEY (session_id, day, provider, model)
) STRICT, WITHOUT ROWID;

CREATE INDEX usage_day ON usage (day);

-- Requests that deleted a session, so that one that is sent again is known.
CREATE TABLE deleted (
    session_id BLOB NOT NULL PRIMARY KEY,
    request_id BLOB NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
