-- Which provider gave out an identifier (a file's, a batch's, a response's), where several could have.
CREATE TABLE issued_ids (
  id         TEXT PRIMARY KEY,
  provider   TEXT NOT NULL,
  expires_at INTEGER NOT NULL -- seconds since 1970
) WITHOUT ROWID;
CREATE INDEX issued_ids_expiry ON issued_ids (expires_at);
