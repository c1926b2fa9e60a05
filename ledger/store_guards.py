"""What guards the records, as the database's own catalogue has it: one line for each guard.

Owners, row-level security, triggers, policies, rights, functions, constraints, roles, partitions.
Rights that an owner has on its own are left out; so are the triggers that enforce foreign keys,
unless somebody disabled them, and what a partition has from its table, unless it is not valid.
Expressions stand as PostgreSQL writes them back, in one line; a function's body as the first half
of its SHA-256. SQL only; `ledger.invariants` compares.
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_SCHEMAS = """
SELECT format('schema %s owner %s', n.nspname, pg_get_userbyid(n.nspowner)) AS guard
FROM pg_namespace n WHERE n.nspname = ANY (:schemas)
UNION ALL
SELECT format('right on schema %s: %s %s', n.nspname,
  CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END, g.privilege_type)
FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) g
WHERE n.nspname = ANY (:schemas) AND g.grantee <> n.nspowner
"""

_TABLES = """
SELECT format('table %s.%s kind %s owner %s row security %s%s', n.nspname, c.relname, c.relkind,
  pg_get_userbyid(c.relowner), CASE WHEN NOT c.relrowsecurity THEN 'off'
    WHEN c.relforcerowsecurity THEN 'forced' ELSE 'not forced' END,
  coalesce(' partition ' || pg_get_expr(c.relpartbound, c.oid), ''))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (:schemas) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
UNION ALL
SELECT format('rule %s.%s %s', n.nspname, c.relname, r.rulename)
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (:schemas)
UNION ALL
SELECT format('right on %s.%s: %s %s%s', n.nspname, c.relname,
  CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END, g.privilege_type,
  CASE WHEN g.is_grantable THEN ' and may grant it' ELSE '' END)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
  aclexplode(c.relacl) g
WHERE n.nspname = ANY (:schemas) AND g.grantee <> c.relowner
UNION ALL
SELECT format('right on %s.%s (%s): %s %s', n.nspname, c.relname,
  string_agg(a.attname, ', ' ORDER BY a.attnum),
  CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END, g.privilege_type)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(a.attacl) g
WHERE n.nspname = ANY (:schemas) AND g.grantee <> c.relowner
GROUP BY n.nspname, c.relname, g.grantee, g.privilege_type
"""

_TRIGGERS = """
SELECT format('trigger on %s.%s: %s%s', n.nspname, c.relname,
  CASE WHEN t.tgisinternal THEN 'of a foreign key' ELSE pg_get_triggerdef(t.oid) END,
  CASE t.tgenabled WHEN 'O' THEN '' WHEN 'A' THEN ' always' WHEN 'D' THEN ' DISABLED'
    ELSE ' only in replicas' END)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (:schemas) AND (NOT t.tgisinternal OR t.tgenabled <> 'O')
"""

_POLICIES = """
SELECT format('policy on %s.%s: %s %s %s to %s using %s check %s', n.nspname, c.relname, p.polname,
  CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
  CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
    WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
  (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r) END, ', '
    ORDER BY pg_get_userbyid(r)) FROM unnest(p.polroles) r),
  coalesce(pg_get_expr(p.polqual, p.polrelid), '-'),
  coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '-'))
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (:schemas)
"""

_FUNCTIONS = """
SELECT format('function %s.%s(%s) owner %s %s %s %s set %s body %s', n.nspname, f.proname,
  oidvectortypes(f.proargtypes), pg_get_userbyid(f.proowner), l.lanname,
  CASE WHEN f.prosecdef THEN 'as owner' ELSE 'as caller' END,
  CASE f.provolatile WHEN 'v' THEN 'volatile' WHEN 's' THEN 'stable' ELSE 'immutable' END,
  coalesce(array_to_string(f.proconfig, '; '), '-'),
  left(encode(sha256(convert_to(f.prosrc || coalesce((
    -- an aggregate has no text of its own: it is the functions that it calls
    SELECT concat_ws(' ', g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggmtransfn,
                     g.aggminvtransfn, g.aggmfinalfn, g.agginitval, g.aggminitval)
    FROM pg_aggregate g WHERE g.aggfnoid = f.oid), ''), 'UTF8')), 'hex'), 32))
FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace
  JOIN pg_language l ON l.oid = f.prolang
WHERE n.nspname = ANY (:schemas)
UNION ALL
SELECT format('right on function %s.%s(%s): %s %s', n.nspname, f.proname,
  oidvectortypes(f.proargtypes),
  CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END, g.privilege_type)
FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace,
  aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) g
WHERE n.nspname = ANY (:schemas) AND g.grantee <> f.proowner
"""

_CONSTRAINTS = """
SELECT format('%s on %s.%s: %s %s%s',
  CASE WHEN k.contype IN ('p', 'u') THEN 'unique' ELSE 'constraint' END, n.nspname, c.relname,
  k.conname, pg_get_constraintdef(k.oid),
  CASE WHEN i.indisvalid AND i.indisready AND i.indisunique OR i.indexrelid IS NULL
    OR k.contype NOT IN ('p', 'u') THEN '' ELSE ' INDEX NOT VALID' END)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = k.conindid
WHERE n.nspname = ANY (:schemas) AND k.contype IN ('p', 'u', 'f', 'c', 'x')
  AND NOT (c.relispartition AND k.coninhcount > 0 AND coalesce(i.indisvalid AND i.indisready, true))
UNION ALL
SELECT format('unique index on %s.%s: %s%s', n.nspname, c.relname, pg_get_indexdef(i.indexrelid),
  CASE WHEN i.indisvalid AND i.indisready THEN '' ELSE ' NOT VALID' END)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (:schemas) AND i.indisunique AND NOT EXISTS (
  SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u'))
"""

_ROLES = """
SELECT format('role %s%s%s%s%s%s', r.rolname,
  CASE WHEN r.rolsuper THEN ' SUPERUSER' ELSE '' END,
  CASE WHEN r.rolbypassrls THEN ' BYPASSRLS' ELSE '' END,
  CASE WHEN r.rolcanlogin THEN ' LOGIN' ELSE '' END,
  CASE WHEN r.rolcreaterole THEN ' CREATEROLE' ELSE '' END,
  CASE WHEN r.rolcreatedb THEN ' CREATEDB' ELSE '' END)
FROM pg_roles r WHERE r.rolname = ANY (:roles)
UNION ALL
SELECT format('role %s is a member of %s', m.rolname, r.rolname)
FROM pg_auth_members x JOIN pg_roles m ON m.oid = x.member JOIN pg_roles r ON r.oid = x.roleid
WHERE m.rolname = ANY (:roles)
UNION ALL
SELECT format('setting %s for role %s', said, CASE s.setrole WHEN 0 THEN 'PUBLIC'
  ELSE pg_get_userbyid(s.setrole) END)
FROM pg_db_role_setting s, unnest(s.setconfig) said
WHERE (s.setdatabase = 0
    OR s.setdatabase = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
  AND (said LIKE 'session_replication_role=%' OR said LIKE 'row_security=%')
UNION ALL
SELECT format('setting session_replication_role=%s in this session', said)
FROM current_setting('session_replication_role') said WHERE said <> 'origin'
"""

ROLES = (
    "liandai_app",
    "liandai_auditor",
    "liandai_ledger",
    "liandai_owner",
    "liandai_service",
)

_ALL = (_SCHEMAS, _TABLES, _TRIGGERS, _POLICIES, _FUNCTIONS, _CONSTRAINTS, _ROLES)


async def guards(conn: AsyncConnection, *, schemas: Sequence[str]) -> list[str]:
    """Every guard of everything in these schemas, sorted, each once.

    The transaction's search path is `pg_catalog` from here on, so that every name of ours is
    written with its schema.
    """
    await conn.execute(text("SELECT set_config('search_path', 'pg_catalog', true)"))
    found: set[str] = set()
    for query in _ALL:
        values = {"roles": ROLES} if query is _ROLES else {"schemas": list(schemas)}
        found.update(" ".join(said.split()) for said in await conn.scalars(text(query), values))
    return sorted(found)
