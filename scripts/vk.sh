#!/usr/bin/env bash
# Virtual keys, with wrangler: npm run vk -- --help
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
[ -d node_modules/wrangler ] || bash scripts/setup.sh
exec node scripts/vk.mjs "$@"
