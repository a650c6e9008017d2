-- Agents: sessions that the model of another one started. Both are absent where a session is none.
ALTER TABLE session ADD COLUMN parent BLOB;
ALTER TABLE session ADD COLUMN root BLOB;

CREATE INDEX session_tree ON session (root) WHERE root IS NOT NULL;

-- Lists leave agents out, without a look at the table.
DROP INDEX session_list;
CREATE INDEX session_list
    ON session (updated_at DESC, id DESC, is_archived, is_active, is_ephemeral, cwd, root);
