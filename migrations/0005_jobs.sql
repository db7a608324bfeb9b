-- Async jobs. The row is the outbox: a message of the queue names only its id. Times are milliseconds since 1970.
-- The tables of 0001 were never written.
DROP TABLE job_blobs;
DROP TABLE jobs;

CREATE TABLE jobs (
  id                TEXT PRIMARY KEY,
  kind              TEXT NOT NULL,
  owner             TEXT NOT NULL, -- the hash of the virtual key, or nothing
  status            TEXT NOT NULL CHECK (status IN ('queued', 'processing', 'completed', 'failed')),
  call              TEXT NOT NULL, -- JSON: path, query, headers that matter, model
  attempts          INTEGER NOT NULL DEFAULT 0,
  claim             TEXT,          -- who is at it
  lease_until       INTEGER NOT NULL DEFAULT 0,
  not_before        INTEGER NOT NULL DEFAULT 0,
  created_at        INTEGER NOT NULL,
  sent_at           INTEGER NOT NULL, -- when a message was last sent for it
  completed_at      INTEGER,
  expires_at        INTEGER NOT NULL,
  ttl_s             INTEGER NOT NULL,
  http_status       INTEGER,
  headers           TEXT,          -- JSON, of the answer
  callback          TEXT,
  callback_at       INTEGER,       -- when the next attempt is due; null when none is
  callback_attempts INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX jobs_open ON jobs (status, sent_at) WHERE status IN ('queued', 'processing');
CREATE INDEX jobs_by_expiry ON jobs (expires_at);
CREATE INDEX jobs_callbacks ON jobs (callback_at) WHERE callback_at IS NOT NULL;

-- Bodies in pieces: a row of D1 holds 2 MB at most.
CREATE TABLE job_pieces (
  job_id TEXT NOT NULL,
  part   TEXT NOT NULL CHECK (part IN ('request', 'result')),
  seq    INTEGER NOT NULL,
  data   TEXT NOT NULL,
  PRIMARY KEY (job_id, part, seq)
);

CREATE TRIGGER jobs_take_their_pieces_along AFTER DELETE ON jobs BEGIN
  DELETE FROM job_pieces WHERE job_id = OLD.id;
END;
