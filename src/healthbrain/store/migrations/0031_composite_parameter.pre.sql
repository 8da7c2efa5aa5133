-- The parts of a composite parameter that was added at run time: [{"code", "type", "expression"}].
alter table search_parameter add column components jsonb not null default '[]';
