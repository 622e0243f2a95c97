# What every script needs: sourced first.
# shellcheck shell=bash
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)

# Where cargo and these scripts put what they make.
target=$(realpath -m -- "${CARGO_TARGET_DIR:-$root/target}")

# Says on standard error what a long step is about to do.
say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# Ends the script with a sentence.
fail() {
    say "$*"
    exit 1
}

# The comment at the head of the script is its help.
usage() {
    sed -n '2,/^$/ s/^# \{0,1\}//p' -- "$0"
}

# Runs a command with its output in a log that is shown only if the command fails.
logged() {
    local log=$1
    shift
    "$@" > "$log" 2>&1 && return
    tail -n 40 -- "$log" >&2
    fail "this failed: $* (the whole output is in $log)"
}
