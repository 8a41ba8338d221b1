-- The two roles of the product and its database. Run once, as a superuser, with the passwords:
--
--   psql -v owner_password=… -v app_password=… -f roles.sql
--
-- tokenproxy_owner owns the tables and runs migrations, backups and restores. tokenproxy_app is
-- what web, worker and beat log in as: it reads and writes rows, and can alter no table, drop
-- nothing, truncate nothing, and switch off no trigger.
\set ON_ERROR_STOP on

CREATE ROLE tokenproxy_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE tokenproxy_app LOGIN PASSWORD :'app_password';

-- What waits for a lock or runs for long does so within bounds, and nothing is left open.
ALTER ROLE tokenproxy_app SET lock_timeout = '10s';
ALTER ROLE tokenproxy_app SET statement_timeout = '5min';
ALTER ROLE tokenproxy_app SET idle_in_transaction_session_timeout = '60s';
-- A migration that can't get its lock gives way to the traffic, and is run again.
ALTER ROLE tokenproxy_owner SET lock_timeout = '10s';

CREATE DATABASE tokenproxy OWNER tokenproxy_owner ENCODING 'UTF8' TEMPLATE template0
    LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8';
REVOKE ALL ON DATABASE tokenproxy FROM PUBLIC;
GRANT CONNECT ON DATABASE tokenproxy TO tokenproxy_app;

\connect tokenproxy
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO tokenproxy_owner;
GRANT USAGE ON SCHEMA public TO tokenproxy_app;
-- Of every table that the owner will make.
ALTER DEFAULT PRIVILEGES FOR ROLE tokenproxy_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO tokenproxy_app;
ALTER DEFAULT PRIVILEGES FOR ROLE tokenproxy_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO tokenproxy_app;
