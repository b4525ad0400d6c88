#!/usr/bin/env bash
# Checks that every dependency comes from crates.io with a checksum, and that no crate is there in two
# versions but for those in the list `skip` of deny.toml, all of which must be needed. cargo-deny does this
# and more (`make deny`), but takes minutes to compile; this takes a second.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=0
error() {
    echo "error: $1" >&2
    failed=1
}

# What is locked, a line each: crate, version, source, whether there is a checksum. Those of this
# repository have no source.
locked() {
    awk -F'"' '
        function tell() { if (name) print name, version, (source ? source : "-"), (sum ? "sum" : "-") }
        /^\[\[package\]\]/ { tell(); name = version = source = sum = "" }
        /^name = / { name = $2 }
        /^version = / { version = $2 }
        /^source = / { source = $2 }
        /^checksum = / { sum = $2 }
        END { tell() }
    ' "$1"
}

for lock in Cargo.lock fuzz/Cargo.lock; do
    while read -r crate version source sum; do
        case $source in
        -) [[ $crate = jobboard* ]] || error "$lock: $crate $version is of this machine" ;;
        registry+https://github.com/rust-lang/crates.io-index)
            [ "$sum" = sum ] || error "$lock: $crate $version has no checksum" ;;
        *) error "$lock: $crate $version comes from $source" ;;
        esac
    done < <(locked "$lock")
done

# What is pulled in, with every feature, for every target.
versions=$(cargo tree --locked --all-features --target all --prefix none --format '{p}' |
    awk 'NF { sub("v", "", $2); print $1 "@" $2 }' | sort -u)
skipped=$(sed -n '/^skip = \[/,/^\]/s/.*crate = "\([^"]*\)".*/\1/p' deny.toml | sort)
twice=$(cut -d@ -f1 <<<"$versions" | uniq -d)

for crate in $twice; do
    left=$(grep "^$crate@" <<<"$versions" | grep -vxF -- "$skipped" || true)
    [ "$(wc -w <<<"$left")" -le 1 ] || error "deny.toml does not skip all versions but one of: ${left//$'\n'/ }"
done
for crate in $skipped; do
    grep -qx "${crate%@*}" <<<"$twice" && grep -qxF "$crate" <<<"$versions" ||
        error "deny.toml skips $crate, of which there are no two versions any more"
done
exit "$failed"
