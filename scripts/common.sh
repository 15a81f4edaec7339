# Shared by the shell scripts of this folder: where the repository is, how to speak, when to stop.
# Source it; it has no effect of its own beyond `set` and the names below.
set -euo pipefail
repo="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python=/usr/bin/python3  # Debian's own, the one that python3-numpy belongs to.

say() { printf '==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# Parallel compile jobs: one a core, but no more than fit in memory (a heavy file needs 1.5 GiB).
job_count() {
  local cores available_kib by_memory
  cores="$(nproc)"
  available_kib="$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)"
  by_memory=$((available_kib / (1536 * 1024)))
  ((by_memory >= 1)) || by_memory=1
  echo $((cores < by_memory ? cores : by_memory))
}

elapsed() { printf '%d min %02d s' $((SECONDS / 60)) $((SECONDS % 60)); }
