#!/bin/sh
# Generate pdp/v1 and pdp/extauthz from the .proto files; with --check, say whether they are up to date (exit 1: no).
# Usage: PYTHON=.venv/bin/python proto/generate.sh [--check]
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# google/rpc/*.proto come with the locked googleapis-common-protos, google/protobuf/*.proto with grpcio-tools.
googleapis=$("$python" -c 'import os, google.rpc.status_pb2 as m; print(os.path.abspath(m.__file__ + "/../../.."))')
sources=$(cd proto && find pdp -name '*.proto' | LC_ALL=C sort)
(
    case $python in /*) ;; */*) python=$PWD/$python ;; esac
    cd proto
    # shellcheck disable=SC2086 # one argument for each source
    "$python" -m grpc_tools.protoc -I . -I "$googleapis" --python_out="$out" --pyi_out="$out" $sources
)

listing() { (cd "$1" && find pdp/v1 pdp/extauthz \( -name '*_pb2.py' -o -name '*_pb2.pyi' \) | LC_ALL=C sort); }

if [ "${1:-}" = --check ]; then
    stale=$({ listing "$out"; listing .; } | LC_ALL=C sort -u | while read -r file; do
        cmp -s "$out/$file" "$file" || echo "$file"
    done)
    [ -z "$stale" ] && exit 0
    printf 'generated code is out of date; run proto/generate.sh:\n%s\n' "$stale" >&2
    exit 1
fi
listing . | xargs rm -f
listing "$out" | while read -r file; do cp "$out/$file" "$file"; done
