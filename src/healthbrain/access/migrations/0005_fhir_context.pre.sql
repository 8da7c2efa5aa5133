-- What an application is started with beside patient and visit, as references Type/id (SMART App Launch 2.2, fhirContext).
alter table launch add column resources text[] not null default '{}';
alter table authorisation add column resources text[] not null default '{}';
