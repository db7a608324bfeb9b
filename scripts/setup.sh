#!/usr/bin/env bash
# Sets up what the project needs and skips what is there: npm packages, the wasm target, the build tools
# and (with --python) the Python packages of the tests. Everything but the wasm target lands in this folder.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

WASM_BINDGEN=$(sed -n '/^name = "wasm-bindgen"$/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
WORKER_BUILD=0.8.7

need cargo "install Rust from https://rustup.rs"
need rustc "install Rust from https://rustup.rs"
need cc "install a C compiler (Debian: apt-get install build-essential)"
need node "install Node.js 20 or later"
need npm "install Node.js 20 or later"

npm_packages() {
  cmp -s package-lock.json node_modules/.installed-lock && return
  step "npm packages"
  # Not `npm ci`: it refuses a lock without the binaries of every platform, and those that are locked are pinned all the same.
  npm install --no-save --loglevel=error
  cp package-lock.json node_modules/.installed-lock
}

# The target by rustup; where rustup can download nothing, by Debian's packages and a std built from source.
wasm_target() {
  has_wasm_std && return
  step "wasm target"
  if command -v rustup >/dev/null && rustup target add wasm32-unknown-unknown 2>.tools/rustup.log; then return; fi
  [ -f /etc/debian_version ] && command -v apt-get >/dev/null ||
    die "no wasm target: run 'rustup target add wasm32-unknown-unknown' ($(tail -n 1 .tools/rustup.log 2>/dev/null || echo 'rustup is absent'))"
  echo "rustup cannot supply the target; using Debian's packages (see scripts/debian-wasm.sh)"
  bash scripts/debian-wasm.sh
  has_wasm_std || die "the wasm target is still missing after scripts/debian-wasm.sh"
}

# worker-build looks for these three only where its variables say; see scripts/lib.sh.
build_tools() {
  if [ "$(.tools/bin/wasm-bindgen --version 2>/dev/null)" != "wasm-bindgen $WASM_BINDGEN" ]; then
    step "wasm-bindgen $WASM_BINDGEN"
    cargo_tool wasm-bindgen-cli --version "$WASM_BINDGEN"
  fi
  if ! grep -qs "worker-build $WORKER_BUILD" .tools/.crates.toml; then
    step "worker-build $WORKER_BUILD"
    pkg-config --exists openssl 2>/dev/null || debian_packages libssl-dev pkg-config
    cargo_tool worker-build --locked --version "$WORKER_BUILD"
  fi
}

# Unoptimised: these only orchestrate, and optimising takes four times as long.
cargo_tool() { cargo install --quiet --debug --root .tools "$@"; }

python_packages() {
  cmp -s tests/requirements.txt .tools/venv/.installed && return
  step "python packages"
  need python3 "install Python 3.10 or later"
  python3 -m venv .tools/venv || { debian_packages python3-venv; python3 -m venv .tools/venv; }
  .tools/venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
  cp tests/requirements.txt .tools/venv/.installed
}

mkdir -p .tools
npm_packages
wasm_target
build_tools
[ "${1:-}" = --python ] && python_packages
exit 0
