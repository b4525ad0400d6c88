#!/usr/bin/env bash
# One file, one idea. Around 400 lines we look for the seam; past 450 lines before the tests the
# check fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find src -name '*.rs' ! -name tests.rs -print0 | sort -z | xargs -0 awk '
    function judge() {
        if (lines > 450) {
            printf "error: %s has %d lines before its tests; split it at its seam\n", file, lines
            failed = 1
        }
    }
    FNR == 1 { judge(); file = FILENAME; lines = 0; in_tests = 0 }
    /^#\[cfg\((all\()?test[,)]/ { in_tests = 1 }
    !in_tests { lines++ }
    END { judge(); exit failed }
' >&2
