-- CRC-32 of an event's row, so that damage is found that is still an event. Rows from before have none.
ALTER TABLE event ADD COLUMN checksum INTEGER;
