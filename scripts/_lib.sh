# shellcheck shell=bash
# What the scripts share: messages, finding Python, the virtual environment, and a Chromium for the browser tests.
# Sourced, never run. Everything here can be called again cheaply: work that is done is not done twice.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"
BIN="$VENV/bin"

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

die() {
  printf '\033[31merror:\033[0m %s\n' "$1" >&2
  shift
  if (($#)); then printf '       %s\n' "$@" >&2; fi
  exit 1
}

# Escape codes are for people at a terminal, not for logs.
if [[ ! -t 2 || -n "${NO_COLOR:-}" ]]; then
  say() { printf '==> %s\n' "$*" >&2; }
  die() {
    printf 'error: %s\n' "$1" >&2
    shift
    if (($#)); then printf '       %s\n' "$@" >&2; fi
    exit 1
  }
fi

# usage "$@": prints the comment block at the top of the calling script when it is asked for help.
usage() {
  case "${1:-}" in
    -h | --help)
      awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"
      exit 0
      ;;
  esac
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
  local candidate
  if [[ -n "${PYTHON:-}" ]]; then
    is_new_enough "$PYTHON" || die "PYTHON=$PYTHON is not a Python 3.11 or newer." "Unset it, or point it at one."
    printf '%s\n' "$PYTHON"
    return
  fi
  for candidate in python3 python3.11 python3.12 python3.13 python3.14 python; do
    if is_new_enough "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  die "no Python 3.11 or newer was found." \
    "Install one (Debian, Ubuntu: sudo apt-get install python3 python3-venv; macOS: brew install python)," \
    "or name one: PYTHON=/path/to/python3.12 $0"
}

# as_root COMMAND...: runs it when that needs no password; fails otherwise.
as_root() {
  if [[ "$(id -u)" == 0 ]]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

may_install() {
  command -v apt-get >/dev/null || return 1
  [[ "$(id -u)" == 0 ]] || sudo -n true >/dev/null 2>&1
}

apt_install() {
  as_root apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends "$@" >&2
}

# Debian splits the standard library: `venv` needs a package of its own there.
ensure_venv_module() {
  local python="$1" package
  "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
  package="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  if may_install; then
    say "Installing $package: this Python cannot make virtual environments yet"
    apt_install "$package" && return
  fi
  die "$python cannot make virtual environments." "Run: sudo apt-get install $package"
}

base_of() { "$1" -c 'import sys; print(sys.version, sys.base_prefix)' 2>/dev/null; }

# A virtual environment that works stays, unless PYTHON names another interpreter than the one it was made with.
ensure_venv() {
  local python
  if is_new_enough "$BIN/python" && [[ -z "${PYTHON:-}" || "$(base_of "$PYTHON")" == "$(base_of "$BIN/python")" ]]; then
    return
  fi
  python="$(find_python)"
  ensure_venv_module "$python"
  say "Making a virtual environment in .venv with $("$python" --version)"
  "$python" -m venv --clear "$VENV"
}

# ensure_installed EXTRA: installs this checkout, editable, with an extra; again only when pyproject.toml has changed.
# The test extra includes the demo's, so either stamp will do for the demo.
ensure_installed() {
  local extra="$1" stamp wanted
  ensure_venv
  wanted="$(cksum <"$ROOT/pyproject.toml")"
  for stamp in "$VENV/.installed-$extra" "$VENV/.installed-test"; do
    if [[ -f "$stamp" && "$(<"$stamp")" == "$wanted" ]]; then return; fi
  done
  say "Installing cookiegate[$extra] (a minute or two the first time)"
  "$BIN/python" -m pip install --disable-pip-version-check --no-input -e "${ROOT}[$extra]" >&2 ||
    die "installing failed (the reason is above)." \
      "Check that pip can reach a package index, or set PIP_INDEX_URL, and run this again."
  printf '%s\n' "$wanted" >"$VENV/.installed-$extra"
}

find_chromium() {
  local candidate
  for candidate in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$candidate"; then return; fi
  done
  return 1
}

ensure_chromium() {
  find_chromium >/dev/null && return
  if may_install; then
    say "Installing Chromium for the browser tests"
    apt_install chromium fonts-dejavu-core || true
    find_chromium >/dev/null && return
  fi
  die "the browser tests need Chromium, and none of chromium, chromium-browser, google-chrome is on the PATH." \
    "Debian, Ubuntu: sudo apt-get install chromium    macOS: brew install --cask google-chrome" \
    "Everything else can be tested without it: $0 -m 'not browser'"
}

# lint: style, formatting and types of everything the repository holds.
lint() {
  cd "$ROOT" || return
  say "ruff check"
  "$BIN/ruff" check .
  say "ruff format --check"
  "$BIN/ruff" format --check .
  say "mypy --strict"
  "$BIN/mypy"
}
