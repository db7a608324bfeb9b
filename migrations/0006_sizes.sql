-- How large requests are, and how many sizes are known.
ALTER TABLE logs ADD COLUMN request_bytes INTEGER;
ALTER TABLE log_totals ADD COLUMN request_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log_totals ADD COLUMN request_sizes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log_totals ADD COLUMN response_sizes INTEGER NOT NULL DEFAULT 0;
-- Of those before nobody counted how many they were.
UPDATE log_totals SET bytes = 0;
DROP TRIGGER logs_are_summed;
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
    iif(NEW.stream, NEW.duration_ms - NEW.first_byte_ms, 0), iif(NEW.stream, ifnull(NEW.output_tokens, 0), 0),
    ifnull(NEW.request_bytes, 0), NEW.request_bytes IS NOT NULL, NEW.bytes IS NOT NULL
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
    token_ms = token_ms + excluded.token_ms, token_count = token_count + excluded.token_count,
    request_bytes = request_bytes + excluded.request_bytes, request_sizes = request_sizes + excluded.request_sizes,
    response_sizes = response_sizes + excluded.response_sizes;
END;
