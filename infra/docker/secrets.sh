#!/bin/sh
# Make the secrets that docker-compose.yml mounts, each a random text in a file of its own; those that exist stay.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
cd secrets
random() { od -An -tx1 -N32 /dev/urandom | tr -d ' \n'; }
make_secret() { [ -s "$1" ] || printf '%s' "$2" >"$1"; }
for name in secret_key api_key_pepper metrics_token alerts_token otlp_token grafana_admin_password \
    postgres_password portal_database_password redis_quota_password redis_work_password; do
    make_secret "$name" "$(random)$(random)"
done
make_secret database_url "postgres://portal:$(cat portal_database_password)@postgres:5432/portal"
make_secret enforcement_redis_url "redis://:$(cat redis_quota_password)@redis-quota:6379/0"
make_secret cache_redis_url "redis://:$(cat redis_work_password)@redis-work:6379/1"
make_secret celery_broker_url "redis://:$(cat redis_work_password)@redis-work:6379/2"
make_secret otlp_headers "authorization=Bearer $(cat otlp_token)"
make_secret redis_exporter_passwords "{\"redis://redis-quota:6379\": \"$(cat redis_quota_password)\", \"redis://redis-work:6379\": \"$(cat redis_work_password)\"}"
# For alertmanager.yml (ALERTMANAGER_CONFIG) and the profile tls: put your own in.
for name in chat_webhook_url pager_routing_key tls_certificate tls_key; do [ -e "$name" ] || : >"$name"; done
# The containers read them as user 10001 (portal), 999 (PostgreSQL, Valkey): readable files in a folder that only you can enter.
chmod 644 ./*
echo "Secrets are in $(pwd)"
