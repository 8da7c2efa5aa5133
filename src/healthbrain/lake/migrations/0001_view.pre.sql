-- Views that people have stored: ViewDefinition resources (SQL on FHIR v2) with their versions.
create table view_definition (
    id text not null,
    version int not null,
    current boolean not null default true,
    deleted boolean not null default false,
    owner int not null references organisation,
    updated timestamptz not null,
    url text not null default '',
    edition text not null default '',           -- ViewDefinition.version
    name text not null default '',
    resource text not null default '',
    status text not null default '',
    body text not null,                         -- the resource as JSON, without id and meta
    primary key (id, version)
);
create unique index view_definition_current on view_definition (id) where current;
create unique index view_definition_url on view_definition (url, edition) where current and not deleted and url <> '';
