#!/usr/bin/env bash
# Makes sure that PDF reports can be laid out: WeasyPrint needs Pango, a system library. Without it a PDF is left out,
# its tests are skipped, and under CI they fail.
# Usage: ensure_pango.sh PYTHON
set -euo pipefail
python=${1:-python3}

pango_loads() {
  "$python" -c "import weasyprint" >/dev/null 2>&1
}

install_with_apt() {
  [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ] && command -v apt-get >/dev/null 2>&1 || return 1
  echo "Installing Pango with apt-get" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2 &&
    apt-get install -y -qq --no-install-recommends libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core >&2
}

pango_loads && exit 0
install_with_apt && pango_loads && exit 0
echo "Pango is missing: PDF reports cannot be made. Try: apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0" >&2
