#!/usr/bin/env bash
# Fuzzes each target of fuzz/, from the checked-in corpus on.
#
#   deploy/fuzz.sh             a hundred thousand inputs: some seconds
#   deploy/fuzz.sh SECONDS     for so long, from what was found before on
#
# This takes a stable toolchain and nothing beside it: LLVM's coverage pass is asked for by flags that
# are stable, where cargo-fuzz wants a nightly compiler for its sanitizers. Those find misuse of memory,
# which this crate, without unsafe code, leaves to others. `cargo fuzz run` works as well.
#
# What the latter finds beyond the corpus is kept in target/fuzz/corpus, and what crashes in target/fuzz.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-}
host=$(rustc -vV | sed -n 's/^host: //p')
target=$PWD/target/fuzz

# What is built for the host itself, such as build scripts, is not instrumented: so the target is named.
export CARGO_ENCODED_RUSTFLAGS
CARGO_ENCODED_RUSTFLAGS=$(
    IFS=$'\x1f'
    flags=(
        --cfg fuzzing
        -Cpasses=sancov-module
        -Cllvm-args=-sanitizer-coverage-level=4
        -Cllvm-args=-sanitizer-coverage-trace-compares
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
        -Cllvm-args=-sanitizer-coverage-pc-table
        -Ccodegen-units=1
        -Cdebug-assertions
        -Coverflow-checks
    )
    echo "${flags[*]}"
)
CARGO_INCREMENTAL=0 "${CARGO:-cargo}" build --locked --quiet --manifest-path fuzz/Cargo.toml \
    --target "$host" --target-dir "$target"

if [ -n "$seconds" ]; then
    found=$target/corpus
    limit=(-max_total_time="$seconds")
else
    found=$(mktemp -d)
    trap 'rm -rf "$found"' EXIT
    limit=(-runs=100000)
fi

for source in fuzz/fuzz_targets/*.rs; do
    name=$(basename "$source" .rs)
    mkdir -p "$found/$name"
    "$target/$host/debug/$name" "${limit[@]}" -timeout=10 -rss_limit_mb=1024 \
        -max_len=65536 -print_final_stats=1 -artifact_prefix="$target/$name-" \
        "$found/$name" "fuzz/corpus/$name" 2>"$target/$name.log" || {
        tail -n 60 "$target/$name.log" >&2
        echo "error: $name: see $target/$name.log" >&2
        exit 1
    }
    echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$target/$name.log") inputs"
done
