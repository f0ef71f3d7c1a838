#!/bin/sh
# Runs once, when the database is made: the portal's role owns its database, is no superuser (row security binds it), and may
# make the role portal_tenant.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$(cat /run/secrets/portal_database_password)" --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE portal LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE portal OWNER portal;
SQL
