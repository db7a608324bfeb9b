-- Async jobs: the row is the outbox, a queue message names only its id. Times are milliseconds since 1970.
CREATE TABLE jobs (
  id          TEXT PRIMARY KEY,
  kind        TEXT NOT NULL,
  status      TEXT NOT NULL CHECK (status IN ('queued', 'processing', 'completed', 'failed')),
  vk_hash     TEXT,
  provider    TEXT,
  attempts    INTEGER NOT NULL DEFAULT 0,
  lease_until INTEGER NOT NULL DEFAULT 0,
  not_before  INTEGER NOT NULL DEFAULT 0,
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  http_status INTEGER,
  error       TEXT
);
CREATE INDEX jobs_by_lease ON jobs (status, lease_until);
CREATE INDEX jobs_by_expiry ON jobs (expires_at);

-- Bodies in pieces: a row of D1 holds 2 MB at most.
CREATE TABLE job_blobs (
  job_id TEXT NOT NULL,
  part   TEXT NOT NULL CHECK (part IN ('request', 'result')),
  seq    INTEGER NOT NULL,
  data   BLOB NOT NULL,
  PRIMARY KEY (job_id, part, seq)
);
