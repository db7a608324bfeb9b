#!/usr/bin/env bash
# wrangler with the Node that it needs, whatever the one in PATH is.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
bash scripts/setup.sh
exec wrangler "$@"
