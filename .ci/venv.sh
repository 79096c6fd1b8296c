# Sourced by ./demo and ./test: a virtual environment in .venv with this project in it.
# Nothing is done when it is already so: the stamp holds what was installed, and from which pyproject.toml.

# The newest Python that will do. Prints its command.
find_python() {
    local candidate
    for candidate in python3.14 python3.13 python3.12 python3.11 python3 python; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11 or newer is needed and was not found." >&2
    exit 1
}

# use_venv [EXTRA]: make .venv hold the project, with an extra of pyproject.toml, and go into it.
use_venv() {
    local extra=${1:-} wanted stamp log
    wanted="$(pwd) $(cksum <pyproject.toml)"
    stamp=.venv/.ratite${extra:+-$extra}
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "Setting up .venv ..." >&2
        log=$(mktemp)
        if ! { [ -x .venv/bin/python ] || "$(find_python)" -m venv .venv; } >"$log" 2>&1; then
            cat "$log" >&2
            echo "Python's venv module is missing; on Debian-like systems: apt-get install python3-venv" >&2
            exit 1
        fi
        if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${extra:+[$extra]}" >"$log" 2>&1; then
            cat "$log" >&2
            echo "The packages that Ratite uses could not be installed." >&2
            exit 1
        fi
        rm -f "$log"
        echo "$wanted" >"$stamp"
    fi
    export PATH="$PWD/.venv/bin:$PATH"
    unset PYTHONPATH PYTHONHOME
}
