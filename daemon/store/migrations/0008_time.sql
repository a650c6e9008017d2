-- Milliseconds in which turns worked, less those in which they waited for a person.
ALTER TABLE usage ADD COLUMN time_ms INTEGER NOT NULL DEFAULT 0;
