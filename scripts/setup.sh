#!/bin/sh
# Makes .venv with everything the project needs, and builds the native core in release mode. Called by `make setup`.
set -eu
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
missing=""
note() { missing="$missing  - $1
"; }

if ! command -v "$PYTHON" >/dev/null 2>&1; then
    note "Python 3.11 or newer: no '$PYTHON' on the PATH (Debian: apt-get install python3 python3-venv python3-dev; or PYTHON=/path/to/python make setup)"
else
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        note "Python 3.11 or newer: '$PYTHON' is $("$PYTHON" -V 2>&1) (another one: PYTHON=/path/to/python make setup)"
    "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null || note "the venv module of $PYTHON (Debian: apt-get install python3-venv)"
fi
command -v cargo >/dev/null 2>&1 || note "a Rust toolchain, 1.85 or newer: no 'cargo' on the PATH (see https://rustup.rs)"
command -v cc >/dev/null 2>&1 || note "a C compiler, which Rust links with: no 'cc' on the PATH (Debian: apt-get install gcc)"
if [ -n "$missing" ]; then
    printf 'allcores cannot be set up on this machine. What is missing:\n%s' "$missing" >&2
    exit 1
fi

[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
VIRTUAL_ENV=$PWD/.venv .venv/bin/maturin develop --release --quiet
# As pip does for an installed package; here python may be told not to write bytecode.
.venv/bin/python -m compileall -q python/allcores
.venv/bin/allcores --version
