#!/bin/sh
# Run once by the image of PostgreSQL, when its data folder is empty.
set -eu
exec psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    -v owner_password="$(cat /run/secrets/database_owner_password)" \
    -v app_password="$(cat /run/secrets/database_app_password)" \
    -f /opt/roles.sql
