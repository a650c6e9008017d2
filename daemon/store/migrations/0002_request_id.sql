-- The client's request that an event came of, 16 bytes of UUID, so that a request sent again is known.
ALTER TABLE event ADD COLUMN request_id BLOB;
