#!/usr/bin/env bash
# As another processor would: make book and make test from an empty store, in a copy of the last commit, with MKL on
# another of its paths, which rounds otherwise. Prints what the chapters say otherwise than the committed ones and which
# numbers moved; fails when something is said otherwise, or a test fails.
#
#   bash scripts/elsewhere.sh VENV [COMPATIBLE|AVX2|SSE4_2|...]      (make elsewhere)
#
# ELSEWHERE_STORE=FOLDER keeps what it computes, for the next time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=$(realpath "${1:-.venv}")
export MKL_CBWR="${2:-COMPATIBLE}"
case "$MKL_CBWR" in
  COMPATIBLE | SSE2 | SSE4_1 | SSE4_2 | AVX | AVX2 | AVX512) ;; # MKL takes no notice of another word
  *) echo "MKL has no path named $MKL_CBWR: take COMPATIBLE, SSE4_2, AVX2 or AVX512" >&2; exit 2 ;;
esac
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
copy="$scratch/canonlib"
export CANONLIB_STORE="${ELSEWHERE_STORE:-$scratch/store}" PYTHONPATH="$copy/src"

[ -z "$(git status --porcelain)" ] || echo "note: the copy is of the last commit; what is not committed is left out" >&2
git clone --quiet . "$copy"
# The environment is this checkout's, and fits the same lock file: the copy must not install itself into it.
touch -r "$venv/.stamp" "$copy/requirements.lock" "$copy/pyproject.toml"

failed=()
step() {
  local name=$1 start=$SECONDS
  shift
  echo "== $name (MKL_CBWR=$MKL_CBWR)"
  "$@" || failed+=("$name")
  echo "== $name: $((SECONDS - start)) s"
}

cd "$copy"
mkdir committed
cp book/*.ipynb committed/
step book make book "VENV=$venv"
step "what differs" "$venv/bin/python" -m canonlib.book.committed report
# The tests look at the book that was made here; the notebook tests run the committed notebooks and compare.
step test make test "VENV=$venv" NOTEBOOK=committed

if [ ${#failed[@]} -gt 0 ]; then
  echo "== elsewhere: FAILED: ${failed[*]}" >&2
  exit 1
fi
echo "== elsewhere: the same is said, and every test passes"
