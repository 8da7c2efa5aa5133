-- Use of published data services: calls by day and caller, and the running minute of each caller.

create table data_service_use (
    service      text   not null,
    version      int    not null,
    day          date   not null,
    caller       text   not null,               -- account or token, with the application that acts for it
    calls        bigint not null,
    refused      bigint not null,
    rows         bigint not null,
    milliseconds bigint not null,
    primary key (service, version, day, caller)
);
create index data_service_use_day on data_service_use (day);

create table data_service_rate (
    service text        not null,
    version int         not null,
    caller  text        not null,
    minute  timestamptz not null,
    calls   int         not null,
    primary key (service, version, caller)
);
