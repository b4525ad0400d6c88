#!/usr/bin/env bash
# Checks the licence of every dependency against the list `allow` of deny.toml. cargo-deny does
# this and more (`make deny`), but takes minutes to compile; this takes a second.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

allowed=$(sed -n '/^allow = \[/,/^\]/s/^ *"\([^"]*\)".*/\1/p' deny.toml)
[ -n "$allowed" ] || { echo "error: deny.toml has no list of licences" >&2; exit 1; }

# Whether one of the alternatives of $1 ("A OR B", "A/B") is allowed.
one_is_allowed() {
    local choice
    while read -r choice; do
        ! grep -qxF -- "$choice" <<<"$allowed" || return 0
    done < <(sed 's/[()]//g; s: OR :\n:g; s:/:\n:g' <<<"$1" | sed 's/^ *//; s/ *$//')
    return 1
}

failed=0
while IFS='|' read -r crate licence; do
    # All terms of "A AND (B OR C)" must be allowed; Cargo's crates bracket an OR within an AND.
    while read -r term; do
        if ! one_is_allowed "$term"; then
            echo "error: $crate: '$term' of its licence '$licence' is not allowed by deny.toml" >&2
            failed=1
        fi
    done <<<"${licence// AND /$'\n'}"
done < <(cargo tree --locked --all-features --target all --prefix none --format '{p}|{l}' | sed 's/ (\*)$//' | sort -u)
exit "$failed"
