#!/usr/bin/env bash
# The steps of `make setup` that need more than one line.
#
#   setup.sh packages            install the Debian packages that are missing, or say how
#   setup.sh python              print a Python 3.11
#   setup.sh step LABEL CMD...   run a long command with one line of progress; its output goes to
#                                build/log/, and its last lines are shown when it fails
set -euo pipefail
cd "$(dirname "$0")/.."

python311() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Java 17 anywhere the stack looks for it (jobs/local/java.py).
java17() {
    local home
    for home in "${JAVA_HOME:-}" "$(readlink -f "$(command -v java || true)" | sed 's|/bin/java$||')" \
        /usr/lib/jvm/*; do
        [ -x "$home/bin/java" ] && grep -qs '^JAVA_VERSION="17[."]' "$home/release" && return
    done
    return 1
}

missing_packages() {
    local python
    if python=$(python311); then
        # Debian keeps the module that makes virtual environments in a package of its own
        "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3.11-venv
    else
        echo python3.11-venv
    fi
    java17 || echo openjdk-17-jre-headless
    command -v mvn >/dev/null || echo maven
}

# Only for MQTT: in the demo the readings go straight to the gateway without it.
mosquitto_is_there() {
    PATH=$PATH:/usr/sbin:/usr/local/sbin command -v mosquitto >/dev/null
}

apt_install() {
    ${root}apt-get update && ${root}env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "$@"
}

packages() {
    local missing root=""
    missing=$(missing_packages | tr '\n' ' ')
    if [ -z "$missing" ] && mosquitto_is_there; then return 0; fi
    if [ "$(id -u)" != 0 ]; then root="sudo "; fi
    if command -v apt-get >/dev/null && { [ -z "$root" ] || sudo -n true 2>/dev/null; }; then
        # shellcheck disable=SC2086
        [ -z "$missing" ] || step "Debian packages: $missing" apt_install $missing || true
        missing=$(missing_packages | tr '\n' ' ')
        mosquitto_is_there || step "Debian package: mosquitto" apt_install mosquitto 2>/dev/null || true
    fi
    mosquitto_is_there || echo "    no MQTT: Mosquitto could not be installed (all else works)"
    [ -n "$missing" ] || return 0
    echo "make: not installed: $missing" >&2
    echo "make: install Python 3.11, Java 17 and Maven, on Debian 12 by:" >&2
    echo "  ${root}apt-get update && ${root}apt-get install -y $missing" >&2
    return 1
}

step() {
    local label=$1 log status=0 began=$SECONDS ticker=""
    shift
    mkdir -p build/log
    log="build/log/$(echo "$label" | tr -cs 'A-Za-z0-9' '-' | cut -c1-40 | sed 's/-*$//').log"
    echo "==> $label"
    if [ -t 1 ]; then
        # the command's last line beside the time that passed, rewritten in place
        while sleep 1; do
            printf '\r\033[K    %3d s  %.60s' $((SECONDS - began)) \
                "$(tail -n 1 "$log" 2>/dev/null | tr -d '\r\033')"
        done &
        ticker=$!
        trap 'kill "$ticker" 2>/dev/null || true' EXIT
    fi
    "$@" >"$log" 2>&1 || status=$?
    if [ -n "$ticker" ]; then
        kill "$ticker" 2>/dev/null || true
        trap - EXIT
        printf '\r\033[K'
    fi
    if [ "$status" != 0 ]; then
        tail -n 25 "$log" >&2
        echo "make: failed after $((SECONDS - began)) s: $label (all of it in $log)" >&2
        return "$status"
    fi
    echo "    done in $((SECONDS - began)) s"
}

case "${1:-}" in
    packages) packages ;;
    python) python311 ;;
    step) shift && step "$@" ;;
    *) sed -n '2,8p' "$0" >&2 && exit 2 ;;
esac
