-- One row a request, written once it is over. Times are milliseconds since 1970, money is pico-dollars.
CREATE TABLE logs (
  id                    TEXT PRIMARY KEY,
  parent_id             TEXT,
  at_ms                 INTEGER NOT NULL,
  object                TEXT NOT NULL,
  method                TEXT NOT NULL,
  path                  TEXT NOT NULL,
  dialect_in            TEXT,
  dialect_out           TEXT,
  provider              TEXT,
  model_asked           TEXT,
  model                 TEXT,
  key_name              TEXT,
  virtual_key_id        TEXT,
  team_id               TEXT,
  customer_id           TEXT,
  status                TEXT NOT NULL,
  http_status           INTEGER NOT NULL,
  error_type            TEXT,
  attempts              INTEGER NOT NULL,
  fallback_index        INTEGER NOT NULL,
  stream                INTEGER NOT NULL,
  first_byte_ms         INTEGER NOT NULL,
  duration_ms           INTEGER NOT NULL,
  bytes                 INTEGER,
  input_tokens          INTEGER,
  cache_read_tokens     INTEGER,
  cache_write_5m_tokens INTEGER,
  cache_write_1h_tokens INTEGER,
  output_tokens         INTEGER,
  reasoning_tokens      INTEGER,
  audio_input_tokens    INTEGER,
  audio_output_tokens   INTEGER,
  estimated             INTEGER,
  cost                  INTEGER, -- null: unknown
  dropped               TEXT NOT NULL, -- JSON
  labels                TEXT NOT NULL  -- JSON
);
CREATE INDEX logs_by_time ON logs (at_ms);
CREATE INDEX logs_by_virtual_key ON logs (virtual_key_id, at_ms) WHERE virtual_key_id IS NOT NULL;

-- What was said, with LOG_CONTENT=true; apart, so that counting does not read it.
CREATE TABLE log_contents (
  id      TEXT PRIMARY KEY,
  request TEXT,
  reply   TEXT
);

-- Sums for /metrics, which outlive the rows. A row that comes twice is inserted once, so it counts once.
CREATE TABLE log_totals (
  object         TEXT NOT NULL,
  provider       TEXT NOT NULL,
  model          TEXT NOT NULL,
  key_name       TEXT NOT NULL,
  virtual_key_id TEXT NOT NULL,
  team_id        TEXT NOT NULL,
  customer_id    TEXT NOT NULL,
  fallback_index INTEGER NOT NULL,
  stream         INTEGER NOT NULL,
  status         TEXT NOT NULL,
  http_status    INTEGER NOT NULL,
  requests       INTEGER NOT NULL,
  upstream       INTEGER NOT NULL,
  input_tokens   INTEGER NOT NULL,
  output_tokens  INTEGER NOT NULL,
  cache_hits     INTEGER NOT NULL,
  cost           INTEGER NOT NULL,
  unpriced       INTEGER NOT NULL,
  bytes          INTEGER NOT NULL,
  duration_ms    INTEGER NOT NULL,
  first_byte_ms  INTEGER NOT NULL,
  -- How many took at most so many milliseconds, and how many streams began within them.
  d100 INTEGER NOT NULL, d500 INTEGER NOT NULL, d1000 INTEGER NOT NULL, d5000 INTEGER NOT NULL, d10000 INTEGER NOT NULL, d30000 INTEGER NOT NULL, d60000 INTEGER NOT NULL,
  f100 INTEGER NOT NULL, f250 INTEGER NOT NULL, f500 INTEGER NOT NULL, f1000 INTEGER NOT NULL, f2500 INTEGER NOT NULL, f5000 INTEGER NOT NULL, f10000 INTEGER NOT NULL,
  -- Milliseconds of streams after their first byte, and the tokens that came in them.
  token_ms       INTEGER NOT NULL,
  token_count    INTEGER NOT NULL,
  PRIMARY KEY (object, provider, model, key_name, virtual_key_id, team_id, customer_id, fallback_index, stream, status, http_status)
) WITHOUT ROWID;

-- What was said goes with its record.
CREATE TRIGGER logs_take_their_contents_along AFTER DELETE ON logs BEGIN
  DELETE FROM log_contents WHERE id = OLD.id;
END;

CREATE TRIGGER logs_are_summed AFTER INSERT ON logs BEGIN
  INSERT INTO log_totals VALUES (
    -- The model of what took no tokens is any word that a caller wrote.
    NEW.object, ifnull(NEW.provider, ''), iif(NEW.input_tokens IS NULL, '', ifnull(NEW.model, '')), ifnull(NEW.key_name, ''), ifnull(NEW.virtual_key_id, ''),
    ifnull(NEW.team_id, ''), ifnull(NEW.customer_id, ''), NEW.fallback_index, NEW.stream, NEW.status, NEW.http_status,
    1, NEW.attempts,
    ifnull(NEW.input_tokens + NEW.cache_read_tokens + NEW.cache_write_5m_tokens + NEW.cache_write_1h_tokens, 0), ifnull(NEW.output_tokens, 0),
    ifnull(NEW.cache_read_tokens > 0, 0), ifnull(NEW.cost, 0), NEW.cost IS NULL AND NEW.input_tokens IS NOT NULL, ifnull(NEW.bytes, 0),
    NEW.duration_ms, NEW.first_byte_ms,
    NEW.duration_ms <= 100, NEW.duration_ms <= 500, NEW.duration_ms <= 1000, NEW.duration_ms <= 5000, NEW.duration_ms <= 10000,
    NEW.duration_ms <= 30000, NEW.duration_ms <= 60000,
    NEW.first_byte_ms <= 100, NEW.first_byte_ms <= 250, NEW.first_byte_ms <= 500, NEW.first_byte_ms <= 1000, NEW.first_byte_ms <= 2500,
    NEW.first_byte_ms <= 5000, NEW.first_byte_ms <= 10000,
    iif(NEW.stream, NEW.duration_ms - NEW.first_byte_ms, 0), iif(NEW.stream, ifnull(NEW.output_tokens, 0), 0)
  )
  ON CONFLICT DO UPDATE SET
    requests = requests + 1, upstream = upstream + excluded.upstream,
    input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,
    cache_hits = cache_hits + excluded.cache_hits, cost = cost + excluded.cost, unpriced = unpriced + excluded.unpriced,
    bytes = bytes + excluded.bytes, duration_ms = duration_ms + excluded.duration_ms, first_byte_ms = first_byte_ms + excluded.first_byte_ms,
    d100 = d100 + excluded.d100, d500 = d500 + excluded.d500, d1000 = d1000 + excluded.d1000, d5000 = d5000 + excluded.d5000,
    d10000 = d10000 + excluded.d10000, d30000 = d30000 + excluded.d30000, d60000 = d60000 + excluded.d60000,
    f100 = f100 + excluded.f100, f250 = f250 + excluded.f250, f500 = f500 + excluded.f500, f1000 = f1000 + excluded.f1000,
    f2500 = f2500 + excluded.f2500, f5000 = f5000 + excluded.f5000, f10000 = f10000 + excluded.f10000,
    token_ms = token_ms + excluded.token_ms, token_count = token_count + excluded.token_count;
END;
