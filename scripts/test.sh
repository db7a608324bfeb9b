#!/usr/bin/env bash
# Sets up what is missing and runs everything; says what each step took.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

bash scripts/setup.sh --python
step "format"; cargo fmt --check
step "clippy"; cargo clippy --quiet --all-targets -- -D warnings
step "native tests"
rm -rf target/replay && mkdir -p target/replay
REPLAY_DUMP=$PWD/target/replay cargo test --quiet -- --nocapture
step "recorded replies by the SDKs' own types"; .tools/venv/bin/python tests/e2e/sdk_types.py target/replay
done_step
bash scripts/build.sh
step "clippy for the worker's shell"
# clippy belongs to one toolchain, and only a rustup one with the target can look at code for wasm.
if [ "$(wasm_bin_dir)" = "$(dirname "$(command -v rustc)")" ]; then
  cargo clippy --quiet --target wasm32-unknown-unknown -- -D warnings
else
  echo "skipped: the toolchain with the wasm target has no clippy; its compiler's warnings are errors all the same"
  PATH="$(wasm_bin_dir):$PATH" RUSTFLAGS=-Dwarnings cargo check --quiet --target wasm32-unknown-unknown --target-dir target/warnings
fi
step "end to end on workerd"
node --test --test-concurrency=2 --test-timeout=240000 'tests/e2e/*.test.mjs'
done_step
