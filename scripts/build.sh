#!/usr/bin/env bash
# Builds the worker into build/, unless it is newer than everything it is made from.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -f build/index_bg.wasm ] && [ -z "$(find src .cargo Cargo.toml Cargo.lock scripts/build.sh -newer build/index_bg.wasm -print -quit)" ]; then
  exit 0
fi
bash scripts/setup.sh
. scripts/lib.sh
step "wasm build"
# The toolchain with the wasm target goes first: worker-build takes the cargo and rustc that it finds in PATH.
PATH="$(wasm_bin_dir):$PATH" .tools/bin/worker-build --release
