#!/usr/bin/env bash
# The cost of the built worker beside a bare JS proxy and a JS reader-writer pump; see docs/benchmarks.md.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
bash scripts/setup.sh
bash scripts/build.sh
node bench/run.mjs --gateway build "$@"
