#!/usr/bin/env bash
# Superset on this machine, with the dashboards of this folder on the ClickHouse of NPS_CLICKHOUSE_URL, until Ctrl-C.
#
#   make superset                       installs it into .cache/superset first
#   deploy/superset/open.sh FOLDER      takes the one that lies in FOLDER/venv, and keeps its files in FOLDER/home
#
# It listens on 127.0.0.1:SUPERSET_PORT alone.  The administrator's password is new each time and printed once.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(cd "${1:?the folder in which Superset lies: make superset}" && pwd)
port=${SUPERSET_PORT:-8088}
[ -x "$folder/venv/bin/gunicorn" ] || { echo "no Superset lies in $folder: make superset" >&2 && exit 2; }
export NPS_CLICKHOUSE_URL=${NPS_CLICKHOUSE_URL:-http://127.0.0.1:8123/nps}
export SUPERSET_HOME=${SUPERSET_HOME:-$folder/home} SUPERSET_CONFIG_PATH=$here/superset_config.py

umask 077
mkdir -p "$SUPERSET_HOME"
key=$SUPERSET_HOME/secret-key
[ -s "$key" ] || "$folder/venv/bin/python" -c 'import secrets; print(secrets.token_urlsafe(48))' >"$key"

echo "Superset starts, which takes half a minute; then open http://127.0.0.1:$port/superset/dashboard/nps/ (Ctrl-C ends it)"
exec "$folder/venv/bin/gunicorn" --bind "127.0.0.1:$port" --workers 1 --worker-class gthread --threads 8 --timeout 120 \
    --log-level warning --preload --pythonpath "$here" "prepared:application()"
