#!/usr/bin/env bash
# Whoever leaves a feature off does not pay for it: the in-process board pulls no etcd client, and
# a library that uses the board pulls nothing of the command line.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=0

# Fails if any of the crates $2... is a dependency with the cargo options $1.
pulls_none_of() {
    local options=$1 tree crate
    shift
    # shellcheck disable=SC2086 # the options are words
    tree=$(cargo tree --locked --edges normal,build --target all --prefix none --format '{p}' $options | cut -d' ' -f1)
    for crate in "$@"; do
        if grep -qx -- "$crate" <<<"$tree"; then
            echo "error: '$crate' is a dependency with ${options:-the default features}" >&2
            failed=1
        fi
    done
}

pulls_none_of "--no-default-features" etcd-client tonic prost hyper rustls ring clap indicatif tempfile
pulls_none_of "--no-default-features --features etcd" rustls ring clap indicatif
pulls_none_of "" clap comfy-table indicatif tracing-subscriber
exit "$failed"
