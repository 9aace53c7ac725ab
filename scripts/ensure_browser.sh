#!/usr/bin/env bash
# Makes sure that the browser tests have a Chromium; prints its path, or nothing where Playwright keeps its own.
# Usage: ensure_browser.sh PYTHON
set -euo pipefail
python=${1:-python3}

system_browser() {
  local name
  for name in "${WHYCAD_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable chrome; do
    if [ -n "$name" ] && command -v "$name" >/dev/null 2>&1; then
      command -v "$name"
      return 0
    fi
  done
  return 1
}

install_with_apt() {
  [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ] && command -v apt-get >/dev/null 2>&1 || return 1
  echo "Installing Chromium with apt-get" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >&2
}

system_browser && exit 0
install_with_apt && system_browser && exit 0
echo "Installing Playwright's own Chromium" >&2
"$python" -m playwright install chromium >&2
