-- Bounds for transactions: a caller that froze in the middle of one keeps its rows locked for seconds, not for hours.
--
-- The logins have the same bounds as settings of theirs in this database (server/db/session-settings.ts), which reach Better
-- Auth's statements as well. Here they hold for the API's statements wherever its login lacks those: in a copy of a database, or
-- where the owner may not alter roles.

-- migrate:up

create or replace function app.sign_in(
  p_credential text,
  p_organization uuid,
  p_scope text,
  p_is_read_only boolean,
  p_timeout_ms integer
)
returns app.caller
language plpgsql volatile
as $$
declare
  caller app.caller := app.authenticate(p_credential, p_organization, p_scope);
  ignored pg_catalog.text;
begin
  -- Runs as the caller and pins no search_path, because what it sets must outlast it; hence the qualified names. It rides in
  -- front of every statement, and each of its expressions is set up anew in every transaction; hence so few of them.
  ignored := pg_catalog.concat(
    pg_catalog.set_config('app.credential', p_credential, true),
    pg_catalog.set_config('app.organization', coalesce(caller.organization_id::pg_catalog.text, ''), true),
    pg_catalog.set_config('statement_timeout', p_timeout_ms::pg_catalog.text, true),
    pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
    -- Every statement leads with its owner's key, so knowing the values makes no better plan; and a page of an owner with
    -- many rows would be planned again on each call.
    pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true),
    case when p_is_read_only then pg_catalog.set_config('transaction_read_only', 'on', true) end
  );
  -- What a statement before this one may have left on a shared connection, what would change how ours is read, and how long a
  -- transaction that is waited for may do nothing.
  if pg_catalog.concat_ws(
    '/',
    pg_catalog.current_setting('row_security'),
    pg_catalog.current_setting('bytea_output'),
    pg_catalog.current_setting('transform_null_equals'),
    pg_catalog.current_setting('lock_timeout'),
    pg_catalog.current_setting('idle_in_transaction_session_timeout'),
    pg_catalog.current_setting('extra_float_digits'),
    pg_catalog.current_setting('DateStyle'),
    pg_catalog.current_setting('IntervalStyle'),
    pg_catalog.current_setting('TimeZone')
  ) operator(pg_catalog.<>) 'on/hex/off/6s/5s/1/ISO, MDY/postgres/UTC' then
    perform
      pg_catalog.set_config('row_security', 'on', true),
      pg_catalog.set_config('bytea_output', 'hex', true),
      pg_catalog.set_config('transform_null_equals', 'off', true),
      pg_catalog.set_config('lock_timeout', '6s', true),
      pg_catalog.set_config('idle_in_transaction_session_timeout', '5s', true),
      pg_catalog.set_config('extra_float_digits', '1', true),
      pg_catalog.set_config('DateStyle', 'ISO, MDY', true),
      pg_catalog.set_config('IntervalStyle', 'postgres', true),
      pg_catalog.set_config('TimeZone', 'UTC', true);
  end if;
  return caller;
end
$$;

-- migrate:down

create or replace function app.sign_in(
  p_credential text,
  p_organization uuid,
  p_scope text,
  p_is_read_only boolean,
  p_timeout_ms integer
)
returns app.caller
language plpgsql volatile
as $$
declare
  caller app.caller := app.authenticate(p_credential, p_organization, p_scope);
  ignored pg_catalog.text;
begin
  -- Runs as the caller and pins no search_path, because what it sets must outlast it; hence the qualified names. It rides in
  -- front of every statement, and each of its expressions is set up anew in every transaction; hence so few of them.
  ignored := pg_catalog.concat(
    pg_catalog.set_config('app.credential', p_credential, true),
    pg_catalog.set_config('app.organization', coalesce(caller.organization_id::pg_catalog.text, ''), true),
    pg_catalog.set_config('statement_timeout', p_timeout_ms::pg_catalog.text, true),
    pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
    -- Every statement leads with its owner's key, so knowing the values makes no better plan; and a page of an owner with
    -- many rows would be planned again on each call.
    pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true),
    case when p_is_read_only then pg_catalog.set_config('transaction_read_only', 'on', true) end
  );
  -- What a statement before this one may have left on a shared connection, and what would change how ours is read.
  if pg_catalog.concat_ws(
    '/',
    pg_catalog.current_setting('row_security'),
    pg_catalog.current_setting('bytea_output'),
    pg_catalog.current_setting('transform_null_equals'),
    pg_catalog.current_setting('lock_timeout'),
    pg_catalog.current_setting('extra_float_digits'),
    pg_catalog.current_setting('DateStyle'),
    pg_catalog.current_setting('IntervalStyle'),
    pg_catalog.current_setting('TimeZone')
  ) operator(pg_catalog.<>) 'on/hex/off/0/1/ISO, MDY/postgres/UTC' then
    perform
      pg_catalog.set_config('row_security', 'on', true),
      pg_catalog.set_config('bytea_output', 'hex', true),
      pg_catalog.set_config('transform_null_equals', 'off', true),
      pg_catalog.set_config('lock_timeout', '0', true),
      pg_catalog.set_config('extra_float_digits', '1', true),
      pg_catalog.set_config('DateStyle', 'ISO, MDY', true),
      pg_catalog.set_config('IntervalStyle', 'postgres', true),
      pg_catalog.set_config('TimeZone', 'UTC', true);
  end if;
  return caller;
end
$$;
