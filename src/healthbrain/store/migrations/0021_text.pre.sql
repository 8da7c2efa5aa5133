-- Words of resources for _text and _content. Filled by following the change feed (texts.py), so that writing costs
-- nothing more; a search reads for itself what has changed since.
create table resource_text (
    rid       bigint primary key,
    content   tsvector not null,                 -- of everything that is text
    narrative tsvector                           -- of Narrative.div, for _text
);
create index resource_text_content on resource_text using gin (content);
create index resource_text_narrative on resource_text using gin (narrative) where narrative is not null;

-- How far it is: the place in the change feed, and in going through what was here before that place.
create table resource_text_state (
    position text,                                -- null: not begun
    done     bigint  not null default 0,
    goal     bigint  not null default 0,
    single   boolean primary key default true check (single)
);
insert into resource_text_state default values;
