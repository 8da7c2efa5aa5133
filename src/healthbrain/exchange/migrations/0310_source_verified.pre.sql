-- When an unknown sender was said to be somebody's, and when what it had sent before was given to that organisation.
alter table source
    add column verified_at timestamptz,
    add column released_at timestamptz;
