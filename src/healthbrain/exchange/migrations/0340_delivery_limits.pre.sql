-- How far an application might reach when it sent this (exchange/limits.py); null: nobody but the source's organisation limits a replay.
alter table delivery add column limits jsonb;
