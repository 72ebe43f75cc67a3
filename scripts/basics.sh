# What scripts that start programs or machines have in common. Sourced.

fail() { printf '\nFAILED: %s\n' "$*" >&2; exit 1; }

# until_true SECONDS DESCRIPTION COMMAND...: polls until the command succeeds.
until_true() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt "$deadline" ] || fail "timed out: $what"
        sleep 0.1
    done
}
