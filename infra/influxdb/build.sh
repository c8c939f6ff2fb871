#!/usr/bin/env bash
# Builds the InfluxDB server that go.mod pins, once a version, into the user's cache.
#
#   build.sh                when something is missing that it needs, say what and fail
#   build.sh --if-possible  then only say so
set -euo pipefail
cd "$(dirname "$0")/../.."
here=infra/influxdb

# at_least WANTED FOUND
at_least() {
    [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

# The versions that go.mod and InfluxDB's query language need; Go from 1.21 on fetches a newer self.
missing() {
    local found
    found=$(cd / && go env GOVERSION 2>/dev/null | sed 's/^go//') || found=""
    at_least 1.21 "${found:-0}" || echo "Go 1.21 or newer (https://go.dev/dl)"
    found=$(cd / && rustc --version 2>/dev/null | cut -d ' ' -f 2) || found=""
    { at_least 1.72 "${found:-0}" && command -v cargo >/dev/null; } ||
        echo "Rust 1.72 or newer with Cargo (https://rustup.rs)"
    command -v gcc >/dev/null || echo "gcc (apt-get install gcc libc6-dev)"
    command -v pkg-config >/dev/null || echo "pkg-config (apt-get install pkg-config)"
}

compile() {
    local out=$1 version tools
    tools=$(mktemp -d)
    trap "rm -rf '$tools'" EXIT
    mkdir -p "$(dirname "$out")"
    # the query language is Rust: its build names an old toolchain and stands no new warning
    printf '#!/bin/sh\nexec "$@" --cap-lints warn\n' >"$tools/rustc-wrapper"
    chmod +x "$tools/rustc-wrapper"
    export RUSTC_WORKSPACE_WRAPPER=$tools/rustc-wrapper
    if command -v rustup >/dev/null; then
        RUSTUP_TOOLCHAIN=$(rustup show active-toolchain | cut -d ' ' -f 1)
        export RUSTUP_TOOLCHAIN
    fi
    cd $here
    export CGO_ENABLED=1
    go build -o "$tools/pkg-config" github.com/influxdata/pkg-config
    version=$(go list -m -f '{{.Version}}' github.com/influxdata/influxdb/v2)
    PKG_CONFIG=$tools/pkg-config go build -trimpath -tags sqlite_foreign_keys,sqlite_json \
        -ldflags "-s -w -X main.version=$version" -o "$tools/influxd" \
        github.com/influxdata/influxdb/v2/cmd/influxd
    # in one move: whoever looks meanwhile finds all of it or nothing
    cp "$tools/influxd" "$out.$$" && mv "$out.$$" "$out"
}

main() {
    local found out needed
    found=$(.venv/bin/python -c 'from jobs.local.influxdb import program; print(program() or "")')
    if [ -n "$found" ]; then
        echo "==> InfluxDB is there: $found"
        return
    fi
    needed=$(missing)
    if [ -n "$needed" ]; then
        echo "make: the InfluxDB server cannot be built; not installed:" >&2
        echo "$needed" | sed 's/^/  /' >&2
        [ "${1:-}" != --if-possible ] || { echo "    its tests are skipped" && return; }
        return 1
    fi
    out=$(.venv/bin/python -c 'from jobs.local.influxdb import built; print(built())')
    infra/setup.sh step "InfluxDB, once: 10 minutes on two cores, 3 GB of Go's and Rust's caches" \
        $here/build.sh compile "$out"
    echo "    $out"
}

case "${1:-}" in
    compile) compile "$2" ;;
    "" | --if-possible) main "$@" ;;
    *) sed -n '2,5p' "$0" >&2 && exit 2 ;;
esac
