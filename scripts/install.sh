#!/bin/sh
# Make the virtual environment (first argument) and install the project into it, at the pinned versions.
# uv is used if it is there; else it is installed into the environment first, because it is much faster.
# Bytecode is made at once, as pip does: compiling torch and timm at the first start, or at every start where Python may not
# write it (PYTHONDONTWRITEBYTECODE), takes longer than a small slide.
set -eu
venv=$1
python=${PYTHON:-python3}

"$python" - <<'CHECK'
import sys
if sys.version_info < (3, 11):
    sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}. Try: make install PYTHON=python3.11")
CHECK

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
if command -v uv >/dev/null 2>&1; then
    uv=uv
else
    [ -x "$venv/bin/uv" ] || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
    uv="$venv/bin/uv"
fi
"$uv" pip install --compile-bytecode --python "$venv/bin/python" --constraint constraints.txt --editable '.[dev]'
