-- Responses that callers may come back to, kept for providers that keep none. Times are seconds since 1970.
CREATE TABLE responses (
  id          TEXT PRIMARY KEY,
  owner       TEXT NOT NULL,
  previous_id TEXT,
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL
);
CREATE INDEX responses_by_expiry ON responses (expires_at);

-- Bodies in pieces: a row of D1 holds 2 MB at most.
CREATE TABLE response_pieces (
  response_id TEXT NOT NULL,
  part        TEXT NOT NULL CHECK (part IN ('body', 'input')),
  seq         INTEGER NOT NULL,
  data        TEXT NOT NULL,
  PRIMARY KEY (response_id, part, seq)
);
