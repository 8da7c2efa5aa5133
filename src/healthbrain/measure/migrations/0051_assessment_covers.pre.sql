-- Which units a run covers, so that an institution's list holds the runs with its own result without reading their content.

alter table assessment_run add column covers text[] not null default '{}';
alter table assessment_run disable trigger assessment_run_frozen;
update assessment_run set covers =
    coalesce((select array_agg(one ->> 'key') from jsonb_array_elements(content::jsonb -> 'inputs' -> 'units') one), '{}');
alter table assessment_run enable trigger assessment_run_frozen;

create function assessment_covers_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'an assessment is frozen: make a new one' using errcode = 'insufficient_privilege';
end $$;
create trigger assessment_run_covers_frozen before update on assessment_run
    for each row when (new.covers is distinct from old.covers) execute function assessment_covers_refuse();
