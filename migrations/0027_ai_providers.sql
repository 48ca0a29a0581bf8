-- AI providers of organizations: its admins' to write and its members' to see; their credentials are sealed.

-- migrate:up

create table app.ai_provider_configs (
  organization_id uuid not null default app.current_organization_id(),
  id uuid not null default app.new_id(),
  name text not null,
  provider text not null,
  base_url text,
  model text not null,
  credentials app.envelope,
  hint text not null default '',
  is_default boolean not null default false,
  limits jsonb not null default '{}',
  deletion_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ai_provider_configs_pkey primary key (organization_id, id),
  constraint ai_provider_configs_organization_id_name_key unique (organization_id, name),
  constraint ai_provider_configs_organization_id_fkey foreign key (organization_id)
    references auth.organizations (id) on delete cascade,
  constraint ai_provider_configs_limits_check check (jsonb_typeof(limits) = 'object')
);
comment on table app.ai_provider_configs is 'An organization''s model providers, and how they are called.';
comment on column app.ai_provider_configs.hint is 'The last characters of the credentials.';
comment on column app.ai_provider_configs.deletion_id is 'Set while the organization is removed.';
create unique index ai_provider_configs_organization_id_default_key on app.ai_provider_configs (organization_id)
  where is_default;

alter table app.ai_provider_configs enable row level security;
create policy select_member on app.ai_provider_configs for select to rowhouse_api
  using (organization_id = (select app.current_organization_id()));
create policy insert_admin on app.ai_provider_configs for insert to rowhouse_api
  with check (
    organization_id = (select app.current_organization_id())
    and (select app.current_organization_role()) in ('owner', 'admin')
  );
create policy update_admin on app.ai_provider_configs for update to rowhouse_api
  using (
    organization_id = (select app.current_organization_id())
    and (select app.current_organization_role()) in ('owner', 'admin')
  )
  with check (
    organization_id = (select app.current_organization_id())
    and (select app.current_organization_role()) in ('owner', 'admin')
  );
create policy delete_admin on app.ai_provider_configs for delete to rowhouse_api
  using (
    organization_id = (select app.current_organization_id())
    and (select app.current_organization_role()) in ('owner', 'admin')
  );
grant
  delete,
  select,
  insert (id, name, provider, base_url, model, credentials, hint, limits),
  update (name, provider, base_url, model, credentials, hint, is_default, limits)
on app.ai_provider_configs to rowhouse_api;

create trigger ai_provider_configs_touch_updated_at before update on app.ai_provider_configs
  for each row execute function app.touch_updated_at();
comment on trigger ai_provider_configs_touch_updated_at on app.ai_provider_configs is
  E'Sets updated_at to the time of the change.\n\nNo statement can forget it, or set it to something else.';

-- As its caller, whom the policies bind.
create function app.set_default_ai_provider(p_id uuid) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  -- All of them, so that those who choose at once take turns, and each sees what the one before chose.
  perform from app.ai_provider_configs c
  where c.organization_id = app.current_organization_id()
  order by c.id
  for no key update;
  update app.ai_provider_configs c set is_default = false
  where c.organization_id = app.current_organization_id() and c.is_default and c.id <> p_id
    and exists (select from app.ai_provider_configs other where other.organization_id = c.organization_id and other.id = p_id);
  update app.ai_provider_configs c set is_default = true
  where c.organization_id = app.current_organization_id() and c.id = p_id;
  return found;
end
$$;
comment on function app.set_default_ai_provider(uuid) is
  'Makes one of the current organization''s providers its default, instead of the one that was; false where '
  'there is no such provider.';

grant execute on function app.set_default_ai_provider to rowhouse_api;

-- migrate:down

drop table app.ai_provider_configs;
drop function app.set_default_ai_provider;
