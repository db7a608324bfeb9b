# Shared by the scripts: where the tools are, and one-line messages. Sourced from the project's folder.

die() { echo "error: $*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || die "$1 is missing: $2"; }

# Prints how long the step before took, and the name of the one that begins.
STEP_STARTED=$SECONDS STEP_NAME=
step() { done_step; STEP_NAME=$1 STEP_STARTED=$SECONDS; echo "== $1"; }
done_step() { [ -z "$STEP_NAME" ] || echo "-- $STEP_NAME: $((SECONDS - STEP_STARTED)) s"; STEP_NAME=; }
trap 'status=$?; done_step; exit $status' EXIT

debian_packages() {
  command -v apt-get >/dev/null || die "please install: $*"
  local sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# The first toolchain with a standard library for wasm: the one in PATH, else Debian's in /usr/bin.
wasm_bin_dir() {
  local rustc libdir
  for rustc in "$(command -v rustc)" /usr/bin/rustc; do
    [ -x "$rustc" ] || continue
    libdir=$("$rustc" --print target-libdir --target wasm32-unknown-unknown 2>/dev/null) || continue
    if compgen -G "$libdir/libstd-*.rlib" >/dev/null; then dirname "$rustc"; return; fi
  done
  return 1
}
has_wasm_std() { wasm_bin_dir >/dev/null; }

# wrangler needs Node 22; npm has it as a package, so an older Node in PATH is enough to begin with.
export PATH="$PWD/node_modules/node/bin:$PWD/node_modules/.bin:$PATH"
export WASM_BINDGEN_BIN="$PWD/.tools/bin/wasm-bindgen" WASM_OPT_BIN="$PWD/node_modules/.bin/wasm-opt" ESBUILD_BIN="$PWD/node_modules/.bin/esbuild"
export WRANGLER_SEND_METRICS=false WRANGLER_SEND_ERROR_REPORTS=false CLOUDFLARE_CF_FETCH_ENABLED=false WRANGLER_HIDE_BANNER=true
