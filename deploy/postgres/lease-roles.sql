-- What a PostgreSQL server (15 or later) needs so that a broker can make a login role for each lease:
-- functions that do just that, and nothing that the broker's own role could do besides.
--
-- Run it as a superuser, once in each database that leases may log in to, the one that the broker's DSN
-- names among them; again after an upgrade of Stagepass:
--
--     psql -d orders -f lease-roles.sql
--
-- Then say who may call the functions, and which roles a lease may be a member of:
--
--     CREATE ROLE stagepass_broker LOGIN PASSWORD '...' CONNECTION LIMIT 20;
--     GRANT USAGE ON SCHEMA stagepass_leases TO stagepass_broker;                    -- in each database
--     GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA stagepass_leases TO stagepass_broker; -- in each database
--     GRANT app_migrate TO stagepass_leases WITH ADMIN OPTION;
--
-- Why functions: up to PostgreSQL 15 whoever may create roles may also give himself any role but a
-- superuser, pg_execute_server_program among them, and drop everybody's. The role that may create them is
-- stagepass_leases, as whom nobody logs in.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'stagepass_leases') THEN
        CREATE ROLE stagepass_leases NOLOGIN CREATEROLE INHERIT;
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS stagepass_leases;
GRANT USAGE, CREATE ON SCHEMA stagepass_leases TO stagepass_leases;

-- A lease's role by its name; NULL where there is none. No other name gets further.
CREATE OR REPLACE FUNCTION stagepass_leases.find(role_name text) RETURNS oid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF role_name IS NULL OR role_name !~ '^stagepass_[0-9a-f]{8}_[0-9a-z]{26}_[0-9a-f]{8}$' THEN
        RAISE EXCEPTION 'that is no name of a lease''s role' USING ERRCODE = 'invalid_name';
    END IF;
    RETURN (SELECT oid FROM pg_roles WHERE rolname = role_name);
END
$$;

-- Make the role: a member of some roles, for so many seconds, known by a SCRAM verifier, never by its password.
-- What is missing at the server is SQLSTATE SP001, whose message says it all. With becomes its maker is a member of it until seal(), to say which role its sessions become.
CREATE OR REPLACE FUNCTION stagepass_leases.make(
    role_name text, verifier text, seconds integer, member_of text[], becomes text, heir text,
    database_name text, connections integer, lease text, stage text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC' AS $$
DECLARE
    one text;
    roles text := '';
BEGIN
    IF stagepass_leases.find(role_name) IS NOT NULL THEN
        RAISE EXCEPTION 'the lease''s role is there already' USING ERRCODE = 'duplicate_object';
    END IF;
    IF verifier IS NULL
       OR verifier !~ '^SCRAM-SHA-256\$[0-9]{4,7}:[A-Za-z0-9+/=]{16,64}\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$'
       OR seconds IS NULL OR seconds NOT BETWEEN 1 AND 86400
       OR connections IS NULL OR connections NOT BETWEEN 1 AND 100
       OR coalesce(cardinality(member_of), 0) NOT BETWEEN 1 AND 16
       OR heir IS NULL OR heir <> ALL (member_of) OR becomes <> ALL (member_of) THEN
        RAISE EXCEPTION 'a lease''s role is not asked for like this' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOREACH one IN ARRAY member_of LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = one) THEN
            RAISE EXCEPTION 'role % does not exist', quote_ident(one) USING ERRCODE = 'SP001';
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = one
                   AND (rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls)) THEN
            RAISE EXCEPTION 'role % is a superuser, creates roles, replicates or passes row security', quote_ident(one)
                USING ERRCODE = 'SP001';
        END IF;
        IF NOT pg_has_role(current_user, one, 'MEMBER WITH ADMIN OPTION') THEN
            RAISE EXCEPTION 'GRANT % TO stagepass_leases WITH ADMIN OPTION is missing', quote_ident(one)
                USING ERRCODE = 'SP001';
        END IF;
        roles := roles || CASE WHEN roles = '' THEN '' ELSE ', ' END || quote_ident(one);
    END LOOP;
    EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE INHERIT NOREPLICATION NOBYPASSRLS '
                   'CONNECTION LIMIT %s PASSWORD %L VALID UNTIL %L IN ROLE %s ROLE stagepass_leases',
                   role_name, connections, verifier, clock_timestamp() + make_interval(secs => seconds), roles);
    EXECUTE format('COMMENT ON ROLE %I IS %L', role_name,
                   json_build_object('lease', lease, 'stage', stage, 'heir', heir)::text);
    IF NOT EXISTS (SELECT FROM pg_database WHERE datname = database_name) THEN
        RAISE EXCEPTION 'database % does not exist', quote_ident(database_name)
            USING ERRCODE = 'SP001';
    END IF;
    IF NOT has_database_privilege(role_name, database_name, 'CONNECT') THEN
        RAISE EXCEPTION 'GRANT CONNECT ON DATABASE % to one of the grant''s roles is missing',
            quote_ident(database_name) USING ERRCODE = 'SP001';
    END IF;
    IF becomes IS NOT NULL THEN
        EXECUTE format('GRANT %I TO %I', role_name, session_user);
    END IF;
END
$$;

-- The maker is no member any more.
CREATE OR REPLACE FUNCTION stagepass_leases.seal(role_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF stagepass_leases.find(role_name) IS NOT NULL THEN
        EXECUTE format('REVOKE %I FROM %I', role_name, session_user);
    END IF;
END
$$;

-- Nobody logs in as it any more. False where it is gone.
CREATE OR REPLACE FUNCTION stagepass_leases.lock(role_name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF stagepass_leases.find(role_name) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER ROLE %I NOLOGIN CONNECTION LIMIT 0 PASSWORD NULL VALID UNTIL ''-infinity''', role_name);
    RETURN true;
END
$$;

-- End its sessions, wait up to two seconds for them to be gone; how many are left.
CREATE OR REPLACE FUNCTION stagepass_leases.end_sessions(role_name text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id oid := stagepass_leases.find(role_name);
    sessions bigint;
BEGIN
    FOR tries IN 0 .. 200 LOOP
        SELECT count(pg_terminate_backend(pid)) INTO sessions FROM pg_stat_activity WHERE usesysid = id;
        EXIT WHEN sessions = 0;
        PERFORM pg_sleep(0.01);
        PERFORM pg_stat_clear_snapshot();
    END LOOP;
    RETURN sessions;
END
$$;

-- In which databases it owns something or was given a right to it.
CREATE OR REPLACE FUNCTION stagepass_leases.databases(role_name text) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT DISTINCT datname::text
        FROM pg_shdepend JOIN pg_database ON pg_database.oid = pg_shdepend.dbid
        WHERE refclassid = 'pg_authid'::regclass AND refobjid = stagepass_leases.find(role_name);
END
$$;

-- What it owns in this database goes to its heir; rights that it was given, here and to shared things, end.
CREATE OR REPLACE FUNCTION stagepass_leases.disown(role_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id oid := stagepass_leases.find(role_name);
    heir text;
BEGIN
    IF id IS NULL THEN
        RETURN;
    END IF;
    heir := shobj_description(id, 'pg_authid')::json ->> 'heir';
    IF pg_has_role(role_name, heir, 'MEMBER') THEN
        EXECUTE format('REASSIGN OWNED BY %I TO %I', role_name, heir);
    ELSIF EXISTS (SELECT FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = id AND deptype = 'o'
                  AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())) THEN
        RAISE EXCEPTION 'the comment on the lease''s role does not say who gets what it owns'
            USING ERRCODE = 'SP001';
    END IF;
    EXECUTE format('DROP OWNED BY %I', role_name);
END
$$;

-- Remove it; what has a session, or owns something, stays.
CREATE OR REPLACE FUNCTION stagepass_leases.remove(role_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id oid := stagepass_leases.find(role_name);
BEGIN
    IF id IS NULL THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM pg_stat_activity WHERE usesysid = id) THEN
        RAISE EXCEPTION 'the lease''s role has sessions' USING ERRCODE = 'object_in_use';
    END IF;
    EXECUTE format('DROP ROLE %I', role_name);
END
$$;

-- The functions act as stagepass_leases, and only who is told so may call them.
DO $$
DECLARE
    one regprocedure;
BEGIN
    FOR one IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'stagepass_leases'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO stagepass_leases', one);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', one);
    END LOOP;
END
$$;
REVOKE CREATE ON SCHEMA stagepass_leases FROM stagepass_leases;

COMMIT;
