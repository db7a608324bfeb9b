#!/usr/bin/env bash
# Debian 12 without a rustup that can download: its rustc-web packages have no standard library for wasm,
# so build it once from their sources and lay it where their rustc looks. Does not touch a rustup toolchain.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

debian_packages rustc-web cargo-web rust-web-src lld-22
sysroot=$(/usr/bin/rustc --print sysroot)
target=wasm32-unknown-unknown

# rustc calls the generic driver with "-flavor wasm", which wasm-ld itself refuses.
host=$(/usr/bin/rustc -vV | sed -n 's/^host: //p')
mkdir -p "$sysroot/lib/rustlib/$host/bin"
ln -sf /usr/bin/lld-22 "$sysroot/lib/rustlib/$host/bin/rust-lld"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/src"
printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n[lib]\n' > "$scratch/Cargo.toml"
touch "$scratch/src/lib.rs"
# Bitcode, because the worker is linked with lto.
(cd "$scratch" && RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc RUSTFLAGS=-Cembed-bitcode=yes \
  /usr/bin/cargo build --quiet --release --target $target -Zbuild-std=std,panic_abort,proc_macro)
lib="$sysroot/lib/rustlib/$target/lib"
rm -rf "$lib" && mkdir -p "$lib"
find "$scratch/target/$target/release/deps" -name '*.rlib' ! -name 'libempty-*' -exec cp {} "$lib/" \;
# Artifacts of an earlier std do not fit this one.
rm -rf target/$target
