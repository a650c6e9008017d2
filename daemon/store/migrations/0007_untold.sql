-- Answers of which the provider told nothing, so that a sum can say that it is not all.
ALTER TABLE usage ADD COLUMN untold_requests INTEGER NOT NULL DEFAULT 0;
