#!/usr/bin/env bash
# Runs the gateway locally. Without a provider key in .dev.vars, or with DEMO=1, a demo provider answers, so that no account is needed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PORT=${PORT:-8787}
DEMO_PORT=${DEMO_PORT:-4010}

bash scripts/setup.sh
bash scripts/build.sh
wrangler d1 migrations apply DB --local >.tools/migrations.log 2>&1 || { cat .tools/migrations.log >&2; die "the local D1 migrations failed"; }

vars=() demo=
if [ "${DEMO:-}" = 1 ] || ! grep -qsE '^(OPENAI|ANTHROPIC|GEMINI|VERTEX|AZURE_OPENAI|OLLAMA)_API_KEY=.|^[A-Z]+_KEYS=.|^GOOGLE_SERVICE_ACCOUNT=.|^OLLAMA_BASE_URL=.' .dev.vars; then
  node tests/upstream/demo_provider.mjs "$DEMO_PORT" & demo=$!
  at=http://127.0.0.1:$DEMO_PORT
  vars=(--var ALLOW_LOCAL_UPSTREAM:true
    --var ADMIN_TOKEN:demo
    --var OPENAI_API_KEY:demo --var "OPENAI_BASE_URL:$at/v1"
    --var ANTHROPIC_API_KEY:demo --var "ANTHROPIC_BASE_URL:$at"
    --var GEMINI_API_KEY:demo --var "GEMINI_BASE_URL:$at"
    --var VERTEX_API_KEY:demo --var GOOGLE_CLOUD_PROJECT:demo --var "VERTEX_BASE_URL:$at"
    --var AZURE_OPENAI_API_KEY:demo --var "AZURE_OPENAI_ENDPOINT:$at"
    --var "OLLAMA_BASE_URL:$at")
fi
wrangler dev --ip 127.0.0.1 --port "$PORT" "${vars[@]}" & worker=$!
trap 'kill $worker $demo 2>/dev/null; wait 2>/dev/null' EXIT
trap 'exit 0' INT TERM

for _ in $(seq 300); do
  curl -fs "http://127.0.0.1:$PORT/health" >/dev/null 2>&1 && ready=1 && break
  kill -0 $worker 2>/dev/null || die "wrangler dev ended"
  sleep 0.2
done
[ -n "${ready:-}" ] || die "the worker did not answer on port $PORT"

cat <<END

The gateway answers on http://127.0.0.1:$PORT${demo:+ (a demo provider answers, and no provider is asked)}. Try:

  curl http://127.0.0.1:$PORT/openai/v1/chat/completions -H 'content-type: application/json' -d '{"model":"anthropic/claude-sonnet-4-5","messages":[{"role":"user","content":"Hello!"}]}'

  python3 -c 'import openai; print(openai.OpenAI(base_url="http://127.0.0.1:$PORT/openai", api_key="dummy-key").chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello!"}]).choices[0].message.content)'

END
wait $worker
