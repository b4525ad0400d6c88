#!/usr/bin/env bash
# No public signature names a type of etcd-client or of tonic: they are an implementation detail of
# one folder, and a new major version of theirs is not a breaking change of ours. A second folder
# measures us beside them.
#
# Two rules, read from the source: the crates are named in src/store/etcd/ and src/cli/bench/ alone; and
# within these, no
# public item, and no trait implementation of a public type, names them or what is imported from
# them. (`unreachable_pub` is a lint of this crate, so `pub` there does mean public.)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Types that are public, for the second rule; a private type may implement what it likes.
public=$(find src -name '*.rs' -exec sed -nE 's/^pub (struct|enum|union) ([A-Za-z0-9_]+).*/\2/p' {} + | tr '\n' ' ')

# shellcheck disable=SC2016 # the dollars are awk's
find src -name '*.rs' -print0 | sort -z | xargs -0 awk -v public="$public" '
    function complain(why) {
        printf "error: %s:%d: %s: %s\n", FILENAME, FNR, why, $0
        failed = 1
    }
    # Whether `text` has a name of the two crates as a word of its own.
    function names_one(text, words, n, i) {
        gsub(/"[^"]*"/, "", text)
        n = split(text, words, /[^A-Za-z0-9_]+/)
        for (i = 1; i <= n; i++)
            if (words[i] in foreign || words[i] == "etcd_client" || words[i] == "tonic") return 1
        return 0
    }
    # Whether the head of `impl Trait for Type` is about a public type.
    function is_public(head) {
        sub(/.* for /, "", head)
        match(head, /^[A-Za-z0-9_]+/)
        return index(" " public, " " substr(head, 1, RLENGTH) " ") > 0
    }
    # Learns the names that a finished `use` of the two crates brings in.
    function import(text, words, n, i) {
        n = split(text, words, /[^A-Za-z0-9_]+/)
        for (i = 1; i <= n; i++)
            if (words[i] ~ /^[A-Z]/ || words[i - 1] == "as") foreign[words[i]] = 1
    }
    FNR == 1 { split("", foreign); used = signature = ""; body = depth = in_tests = 0 }
    /^#\[cfg\((all\()?test[,)]/ { in_tests = 1 }
    in_tests { next }
    { sub(/(^|[ \t])\/\/.*/, "") }

    FILENAME !~ /^src\/(store\/etcd|cli\/bench)(\/|\.rs$)/ {
        if (/(^|[^A-Za-z0-9_])(etcd_client|tonic)::/) complain("named outside src/store/etcd")
        next
    }

    # `use`, over as many lines as it takes.
    used == "" && /^ *(pub(\([a-z: ]*\))? )?use (::)?(etcd_client|tonic)/ {
        if (/^ *pub use/) complain("re-exported")
        used = " "
    }
    used != "" {
        used = used $0
        if (/;/) { import(used); used = "" }
        next
    }

    # A public item: a field to its comma, an enum or a trait to its closing brace, whatever else
    # to its opening brace or semicolon.
    signature == "" && /^ *(pub |impl.* for [A-Z])|^ +type / {
        body = /^ *pub (unsafe )?(enum|trait) /
        field = /^ *pub [a-z_0-9]+:/
        depth = 0
        signature = " "
    }
    signature != "" {
        signature = signature $0
        line = $0
        depth += gsub(/\{/, "", line) - gsub(/\}/, "", line)
        if (body ? (depth == 0 && /[};]/) : (/[{;]/ || field && /,[ \t]*$/)) {
            # The block of a one-line function is not its signature.
            if (!body) sub(/\{.*/, "", signature)
            if (names_one(signature) && !(signature ~ /^ *impl/ && !is_public(signature)))
                complain("in a public signature that ends here")
            signature = ""
        }
    }
    END { exit failed }
' >&2
