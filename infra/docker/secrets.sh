#!/bin/sh
# Make the secrets that docker-compose.yml mounts, each a random text in a file of its own; those that exist stay.
# To change a *_password, delete it, its *_hash and every file that is made of it (*_web, *_htpasswd, *_authorization, *_url), and run this again.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
cd secrets
random() { od -An -tx1 -N32 /dev/urandom | tr -d ' \n'; }
make_secret() { [ -s "$1" ] || printf '%s' "$2" >"$1"; }
for name in secret_key api_key_pepper metrics_token services_token alerts_token otlp_token platform_secret grafana_admin_password \
    postgres_password portal_database_password redis_quota_password redis_work_password; do
    make_secret "$name" "$(random)$(random)"
done
make_secret database_url "postgres://portal:$(cat portal_database_password)@postgres:5432/portal"
make_secret enforcement_redis_url "redis://:$(cat redis_quota_password)@redis-quota:6379/0"
make_secret cache_redis_url "redis://:$(cat redis_work_password)@redis-work:6379/1"
make_secret celery_broker_url "redis://:$(cat redis_work_password)@redis-work:6379/2"
make_secret otlp_headers "authorization=Bearer $(cat otlp_token)"
make_secret redis_exporter_passwords "{\"redis://redis-quota:6379\": \"$(cat redis_quota_password)\", \"redis://redis-work:6379\": \"$(cat redis_work_password)\"}"

# Who may ask the observability stack: a password for each kind of asker (bcrypt reads 72 characters of it), its hash for those that are asked.
#   prometheus  whoever is scraped          operators  nginx, the operators' Grafana, manage.py doctor
#   tenants     the tenants' Grafana        collector  hands traces to Jaeger          mail  reads the mail catcher
bcrypt() { # stdin: a password; stdout: its hash
    if command -v htpasswd >/dev/null; then htpasswd -niBC 10 x | cut -d: -f2 | tr -d '\n'
    else perl -e '$word = <STDIN>; chomp $word; print crypt($word, q($2b$10$) . substr($ARGV[0], 0, 21) . q(u));' "$(random)"; fi
}
for name in prometheus operators tenants collector mail; do
    make_secret "${name}_password" "$(random)"
    if [ ! -s "${name}_hash" ]; then
        hash=$(bcrypt <"${name}_password")
        case $hash in
        '$2'*) printf '%s' "$hash" >"${name}_hash" ;;
        *) echo "secrets.sh: this machine makes no bcrypt hashes: install htpasswd (Debian: apt-get install apache2-utils)" >&2; exit 1 ;;
        esac
    fi
done
users() { echo "basic_auth_users:"; for name in "$@"; do printf '  %s: "%s"\n' "$name" "$(cat "${name}_hash")"; done; } # Prometheus' web.config.file
lines() { for name in "$@"; do printf '%s:%s\n' "$name" "$(cat "${name}_hash")"; done; }                              # htpasswd's
basic() { printf '%s:%s' "$1" "$(cat "$1_password")" | base64 | tr -d '\n'; }
make_secret exporters_web "$(users prometheus)"
make_secret prometheus_web "$(users prometheus operators tenants)"
make_secret alertmanager_web "$(users prometheus operators)"
make_secret exporters_htpasswd "$(lines prometheus)"
make_secret jaeger_htpasswd "$(lines prometheus operators collector)"
make_secret mail_htpasswd "$(lines mail)"
make_secret jaeger_authorization "$(basic collector)"
make_secret operators_authorization "proxy_set_header Authorization \"Basic $(basic operators)\";"
make_secret prometheus_url "http://operators:$(cat operators_password)@prometheus:9090/prometheus"
make_secret alertmanager_url "http://operators:$(cat operators_password)@alertmanager:9093/alertmanager"
make_secret jaeger_url "http://operators:$(cat operators_password)@jaeger:16686/jaeger"

# For alertmanager.yml (ALERTMANAGER_CONFIG), the profile tls and the profile platform (an operator's API token): put your own in.
for name in platform_operator_token chat_webhook_url pager_routing_key tls_certificate tls_key; do [ -e "$name" ] || : >"$name"; done
# The containers read them as user 10001 (portal), 999 (PostgreSQL, Valkey): readable files in a folder that only you can enter.
chmod 644 ./*
echo "Secrets are in $(pwd)"
